"""What the vehicle was given to trust, and the signed policies that were laid down for it.

Threads. Any thread. Each call gives what lies there at that moment, because files may be replaced at any.

Size. What is larger than it may be is given cut off just beyond its limit, so that who checks it notices.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol


class TrustError(Exception):
    """Something that decides whom to trust can't be used; the message names the file and the reason."""


@dataclass(frozen=True, slots=True)
class LaidPolicy:
    """A signed policy that somebody laid down; not verified."""

    name: str
    """How errors call it: its file."""
    signed: bytes


class TrustStore(Protocol):
    """See the module."""

    def authorities(self) -> tuple[bytes, ...]:
        """Raw Ed25519 public keys of the registration authorities; raises :class:`TrustError`."""
        ...

    def roots(self) -> Mapping[str, bytes | TrustError]:
        """The pinned raw Ed25519 root key of each region that the vehicle is enrolled with, by region id."""
        ...

    def policies(self) -> Mapping[str, LaidPolicy | TrustError]:
        """What was laid down as the policy of each region, by region id."""
        ...
