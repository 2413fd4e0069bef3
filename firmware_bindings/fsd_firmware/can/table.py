"""How CAN frames become signal samples: a compiled table, one row a field, grouped by (bus, id).

A *field* is one signal of one message: where its bits lie, how they scale, and which catalogue row it fills.
Fields of one message are neighbours; ``first`` holds where each message begins. Bits are numbered as in DBC
files: ``start`` is the least significant bit of a little-endian field and the most significant bit of a
big-endian one (byte ``start // 8``, bit ``start % 8``), anywhere in the 64 bytes of a CAN FD frame.

Values. The bits are an unsigned or signed integer, or an IEEE number of 32 or 64 bits (``is_float``). The
physical value is ``raw * scale + offset`` in IEEE double arithmetic, in this order. A raw integer that a double
can't hold (more than 53 bits) is rounded to the nearest double; with ``integer_scale`` it stays an integer
until it is scaled, and also until the offset is added where that is whole. So no value is rounded in silence
where Python's own numbers, and with them cantools, would not round it.

Multiplexing. A field may name another field of its message as ``selector``: it is present only where the
selector is present and its raw value is one of the field's ``mux_value``. Selectors stand before what they
select, so chains have no cycles.

Bytes. ``to_bytes`` writes a msgpack map {v, columns as little-endian bytes}; ``from_bytes`` checks version,
types, lengths and every bound, because the table comes from a file. Version 1, which knew integers of at most
53 bits in frames of 8 bytes, is still read.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from fsd_firmware.can import checks

TABLE_VERSION = 2


@dataclass(frozen=True, slots=True, eq=False)
class SignalTable:
    """Columns over m messages and k fields. Made by :func:`build.build_table` or :meth:`from_bytes`.

    Raises ``ValueError`` naming the column when a bound is broken.
    """

    message_key: NDArray[np.int64]
    """Shape (m,), increasing: ``bus << 32 | can_id``."""
    first: NDArray[np.int32]
    """Shape (m + 1,): fields of message i are ``first[i]`` to ``first[i + 1]``, at least one."""
    start: NDArray[np.uint16]
    length: NDArray[np.uint8]
    big_endian: NDArray[np.uint8]
    signed: NDArray[np.uint8]
    is_float: NDArray[np.uint8]
    """1 where the bits are an IEEE number."""
    integer_scale: NDArray[np.uint8]
    """1 where the scale is a whole number and multiplies the raw integer before anything is rounded."""
    scale: NDArray[np.float64]
    offset: NDArray[np.float64]
    min_bytes: NDArray[np.uint8]
    """A frame shorter than this doesn't hold the field."""
    catalogue_row: NDArray[np.int32]
    selector: NDArray[np.int32]
    mux_first: NDArray[np.int32]
    """Shape (k + 1,): the field's own values in ``mux_value``; none for a field without selector."""
    mux_value: NDArray[np.int64]

    def __post_init__(self) -> None:
        checks.check_shapes(self, _DTYPE)
        checks.check_messages(self)
        checks.check_bits(self)
        checks.check_values(self)
        checks.check_mux(self)

    def __len__(self) -> int:
        """Count fields."""
        return int(self.start.shape[0])

    @property
    def highest_row(self) -> int:
        """The highest catalogue row that this table fills, -1 for none."""
        return int(self.catalogue_row.max(initial=checks.NO_ROW))

    def to_bytes(self) -> bytes:
        """The table as versioned msgpack; the same table gives the same bytes."""
        columns = {
            f.name: getattr(self, f.name).astype(_DTYPE[f.name], copy=False).tobytes() for f in fields(self)
        }
        return msgspec.msgpack.encode({"v": TABLE_VERSION, **columns})

    @classmethod
    def from_bytes(cls, data: bytes) -> SignalTable:
        """Parse and check. Raises ``ValueError`` naming the field for anything that isn't a sound table."""
        try:
            raw = msgspec.msgpack.decode(data, type=dict[str, Any])
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise ValueError(f"signal table: not a msgpack map: {error}") from None
        version = raw.pop("v", None)
        if version not in {1, TABLE_VERSION}:
            raise ValueError(f"signal table: v: {version!r}; this software reads versions 1 and 2")
        dtypes = _DTYPE if version == TABLE_VERSION else _DTYPE_1
        if raw.keys() != dtypes.keys():
            odd = sorted(raw.keys() ^ dtypes.keys())
            raise ValueError(f"signal table: columns missing or unknown: {', '.join(odd)}")
        columns = {name: _column(name, raw[name], dtype) for name, dtype in dtypes.items()}
        return cls(**(columns if version == TABLE_VERSION else _from_version_1(columns)))


_DTYPE = {
    "message_key": "<i8",
    "first": "<i4",
    "start": "<u2",
    "length": "u1",
    "big_endian": "u1",
    "signed": "u1",
    "is_float": "u1",
    "integer_scale": "u1",
    "scale": "<f8",
    "offset": "<f8",
    "min_bytes": "u1",
    "catalogue_row": "<i4",
    "selector": "<i4",
    "mux_first": "<i4",
    "mux_value": "<i8",
}
_ADDED = ("is_float", "integer_scale")
_DTYPE_1 = {name: dtype for name, dtype in _DTYPE.items() if name not in _ADDED} | {"start": "u1"}


def _from_version_1(columns: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Its integers of at most 53 bits were scaled in doubles, so both flags are 0."""
    none = np.zeros(columns["start"].shape, np.uint8)
    return {**columns, "start": columns["start"].astype(np.uint16), **dict.fromkeys(_ADDED, none)}


def _column(name: str, raw: object, text: str) -> NDArray[Any]:
    dtype = np.dtype(text)
    if not isinstance(raw, bytes) or len(raw) % dtype.itemsize:
        raise checks.bad(name, f"expected bytes of whole {dtype.itemsize}-byte values")
    return np.frombuffer(raw, dtype).astype(dtype.newbyteorder("="), copy=False)
