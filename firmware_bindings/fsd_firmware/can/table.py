"""How CAN frames become signal samples: a compiled table, one row a field, grouped by (bus, id).

A *field* is one signal of one message: where its bits lie, how they scale, and which catalogue row it fills.
Fields of one message are neighbours; ``first`` holds where each message begins. Bits are numbered as in DBC
files: ``start`` is the least significant bit of a little-endian field and the most significant bit of a
big-endian one (byte ``start // 8``, bit ``start % 8``). The physical value is ``raw * scale + offset`` in
IEEE double arithmetic, in this order.

Multiplexing. A field may name another field of its message as ``selector``: it is present only where the
selector is present and its raw value is one of the field's ``mux_value``. Selectors stand before what they
select, so chains have no cycles.

Bytes. ``to_bytes`` writes a msgpack map {v, columns as little-endian bytes}; ``from_bytes`` checks version,
types, lengths and every bound, because the table comes from a file.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from itertools import pairwise
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

TABLE_VERSION = 1
MAX_FIELD_BITS = 53
"""A double holds every integer of up to 53 bits exactly; longer fields would be rounded in silence."""
MAX_SELECTOR_BITS = 31
"""A selector's value shares a 64-bit search key with the row it selects."""
FRAME_BITS = 64
NO_ROW = -1
"""``catalogue_row`` of a field that only selects, ``selector`` of a field that is always present."""


@dataclass(frozen=True, slots=True)
class Field:
    """One signal of one message, as a compiler states it to :func:`build_table`."""

    bus: int
    can_id: int
    """11-bit identifier, or 29-bit with ``CAN_EFF_FLAG`` set."""
    start: int
    length: int
    big_endian: bool
    signed: bool
    scale: float
    offset: float
    catalogue_row: int = NO_ROW
    selector: int = NO_ROW
    """Index in the sequence given to :func:`build_table`, before this field."""
    mux_values: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class SignalTable:
    """Columns over m messages and k fields. Built by :func:`build_table` or :meth:`from_bytes`.

    Raises ``ValueError`` naming the column when a bound is broken.
    """

    message_key: NDArray[np.int64]
    """Shape (m,), increasing: ``bus << 32 | can_id``."""
    first: NDArray[np.int32]
    """Shape (m + 1,): fields of message i are ``first[i]`` to ``first[i + 1]``, at least one."""
    start: NDArray[np.uint8]
    length: NDArray[np.uint8]
    big_endian: NDArray[np.uint8]
    signed: NDArray[np.uint8]
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
        _check_lengths(self)
        _check_messages(self)
        _check_bits(self)
        _check_mux(self)

    def __len__(self) -> int:
        """Count fields."""
        return int(self.start.shape[0])

    @property
    def highest_row(self) -> int:
        """The highest catalogue row that this table fills, -1 for none."""
        return int(self.catalogue_row.max(initial=NO_ROW))

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
        except msgspec.MsgspecError as error:
            raise ValueError(f"signal table: not a msgpack map: {error}") from None
        if raw.pop("v", None) != TABLE_VERSION:
            raise ValueError(f"signal table: v: this software reads version {TABLE_VERSION}")
        if raw.keys() != _DTYPE.keys():
            odd = sorted(raw.keys() ^ _DTYPE.keys())
            raise ValueError(f"signal table: columns missing or unknown: {', '.join(odd)}")
        return cls(**{name: _column(name, raw[name]) for name in _DTYPE})


_DTYPE = {
    "message_key": "<i8",
    "first": "<i4",
    "start": "u1",
    "length": "u1",
    "big_endian": "u1",
    "signed": "u1",
    "scale": "<f8",
    "offset": "<f8",
    "min_bytes": "u1",
    "catalogue_row": "<i4",
    "selector": "<i4",
    "mux_first": "<i4",
    "mux_value": "<i8",
}


def first_network_bit(start: int, *, big_endian: bool) -> int:
    """Bits before the field's first bit, counted from the frame's first byte in the field's own order."""
    return 8 * (start // 8) + 7 - start % 8 if big_endian else start


def needed_bytes(start: int, length: int, *, big_endian: bool) -> int:
    """Bytes that a frame must have to hold the field."""
    return (first_network_bit(start, big_endian=big_endian) + length + 7) // 8


def build_table(entries: Sequence[Field]) -> SignalTable:
    """Group ``entries`` by (bus, id), keeping their order inside a message.

    Raises ``ValueError`` when a field doesn't fit a frame, is longer than 53 bits, or selects wrongly.
    """
    order = sorted(range(len(entries)), key=lambda i: (entries[i].bus, entries[i].can_id))
    place = {old: new for new, old in enumerate(order)}
    rows = [entries[i] for i in order]
    keys = np.array([row.bus << 32 | row.can_id for row in rows], np.int64)
    message_key, first = np.unique(keys, return_index=True)
    needed = [needed_bytes(row.start, row.length, big_endian=row.big_endian) for row in rows]
    return SignalTable(
        message_key=message_key,
        first=np.append(first, len(rows)).astype(np.int32),
        start=_small("start", [row.start for row in rows]),
        length=_small("length", [row.length for row in rows]),
        big_endian=np.array([row.big_endian for row in rows], np.uint8),
        signed=np.array([row.signed for row in rows], np.uint8),
        scale=np.array([row.scale for row in rows], np.float64),
        offset=np.array([row.offset for row in rows], np.float64),
        min_bytes=_small("min_bytes", needed),
        catalogue_row=np.array([row.catalogue_row for row in rows], np.int32),
        selector=np.array([place.get(row.selector, row.selector) for row in rows], np.int32),
        mux_first=np.cumsum([0, *(len(row.mux_values) for row in rows)]).astype(np.int32),
        mux_value=np.array([v for row in rows for v in sorted(row.mux_values)], np.int64),
    )


def _small(name: str, values: list[int]) -> NDArray[np.uint8]:
    if any(not 0 <= value <= 255 for value in values):
        raise _bad(name, "a field doesn't lie within a frame of 8 bytes")
    return np.array(values, np.uint8)


def _bad(column: str, reason: str) -> ValueError:
    return ValueError(f"signal table: {column}: {reason}")


def _column(name: str, raw: object) -> NDArray[Any]:
    dtype = np.dtype(_DTYPE[name])
    if not isinstance(raw, bytes) or len(raw) % dtype.itemsize:
        raise _bad(name, f"expected bytes of whole {dtype.itemsize}-byte values")
    return np.frombuffer(raw, dtype).astype(dtype.newbyteorder("="), copy=False)


def _check_lengths(table: SignalTable) -> None:
    k = len(table)
    wanted = {
        "first": table.message_key.shape[0] + 1,
        "mux_first": k + 1,
        "message_key": table.message_key.shape[0],
        "mux_value": table.mux_value.shape[0],
    }
    for name, dtype in _DTYPE.items():
        column = getattr(table, name)
        if column.shape != (wanted.get(name, k),):
            raise _bad(name, f"expected {wanted.get(name, k)} values, found shape {column.shape}")
        if column.dtype != np.dtype(dtype).newbyteorder("="):
            raise _bad(name, f"expected values of type {dtype}")


def _check_messages(table: SignalTable) -> None:
    key = table.message_key
    if (np.diff(key) <= 0).any() or (key < 0).any() or (key >> 32 > 255).any():
        raise _bad("message_key", "must increase and hold buses 0 to 255")
    first = table.first
    if first[0] != 0 or first[-1] != len(table) or (np.diff(first) <= 0).any():
        raise _bad("first", "must rise from 0 to the number of fields")


def _check_bits(table: SignalTable) -> None:
    for name in ("big_endian", "signed"):
        if (getattr(table, name) > 1).any():
            raise _bad(name, "must be 0 or 1")
    if (table.length < 1).any() or (table.length > MAX_FIELD_BITS).any():
        raise _bad("length", f"must be 1 to {MAX_FIELD_BITS} bits")
    start, length, big = (c.astype(np.int64) for c in (table.start, table.length, table.big_endian))
    before = np.where(big == 1, 8 * (start // 8) + 7 - start % 8, start)
    if (before + length > FRAME_BITS).any():
        raise _bad("start", "a field reaches past the frame's eighth byte")
    if (table.min_bytes != (before + length + 7) // 8).any():
        raise _bad("min_bytes", "doesn't follow from start and length")
    for name in ("scale", "offset"):
        if not np.isfinite(getattr(table, name)).all():
            raise _bad(name, "must be finite")
    if (table.catalogue_row < NO_ROW).any():
        raise _bad("catalogue_row", "must be a row, or -1")


def _check_mux(table: SignalTable) -> None:
    counts = np.diff(table.mux_first)
    if table.mux_first[0] != 0 or table.mux_first[-1] != table.mux_value.shape[0] or (counts < 0).any():
        raise _bad("mux_first", "must rise from 0 to the number of mux values")
    message = np.repeat(np.arange(table.message_key.shape[0]), np.diff(table.first))
    chosen = np.flatnonzero(table.selector != NO_ROW)
    selector = table.selector[chosen]
    if (selector < 0).any() or (selector >= chosen).any() or (message[selector] != message[chosen]).any():
        raise _bad("selector", "must be an earlier field of the same message")
    if (table.length[selector] > MAX_SELECTOR_BITS).any() or table.signed[selector].any():
        raise _bad("selector", f"must be an unsigned field of at most {MAX_SELECTOR_BITS} bits")
    if ((counts > 0) != (table.selector != NO_ROW)).any():
        raise _bad("mux_first", "exactly the fields with a selector have mux values")
    for low, high in pairwise(table.mux_first.tolist()):
        if (np.diff(table.mux_value[low:high]) <= 0).any():
            raise _bad("mux_value", "must increase within a field")
    if (table.mux_value < 0).any() or (table.mux_value >> MAX_SELECTOR_BITS).any():
        raise _bad("mux_value", f"must fit {MAX_SELECTOR_BITS} bits")
