"""Whether a public key is one that only its owner can sign with.

A raw Ed25519 public key (RFC 8032, section 5.1.3) is refused where it is no point of the curve, or one of small order:
under such a point anybody can make a signature that verifies, and OpenSSL does not look.
"""

from __future__ import annotations

from typing import Final

_P: Final = 2**255 - 19
_D: Final = -121665 * pow(121666, -1, _P) % _P
_ROOT_OF_MINUS_ONE: Final = pow(2, (_P - 1) // 4, _P)

_Point = tuple[int, int]


def ed25519_fault(public_key: bytes) -> str | None:
    """What is wrong with a raw public key; None where nothing is."""
    if len(public_key) != 32:
        return f"{len(public_key)} bytes, a raw key has 32"
    point = _decompress(int.from_bytes(public_key, "little"))
    if point is None:
        return "not a point of the curve Ed25519"
    for _ in range(3):
        point = _double(point)
    return "not a usable Ed25519 public key (small order)" if point == (0, 1) else None


def _decompress(encoded: int) -> _Point | None:
    sign, y = encoded >> 255, encoded & ((1 << 255) - 1)
    if y >= _P:
        return None
    square = (y * y - 1) * pow(_D * y * y + 1, -1, _P) % _P
    x = pow(square, (_P + 3) // 8, _P)
    if x * x % _P != square:
        x = x * _ROOT_OF_MINUS_ONE % _P
    if x * x % _P != square or (x == 0 and sign):
        return None
    return x, y  # or the negative, by the sign: it has the same order


def _double(point: _Point) -> _Point:
    """RFC 8032, section 5.1: the sum of a point with itself; the law is complete, so nothing divides by zero."""
    x, y = point
    product = _D * x * x * y * y % _P
    across = 2 * x * y * pow(1 + product, -1, _P) % _P
    along = (y * y + x * x) * pow(1 - product, -1, _P) % _P
    return across, along
