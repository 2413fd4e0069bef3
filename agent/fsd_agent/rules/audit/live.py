"""The clips that are on the vehicle, by id, as a ledger's state holds them: in columns.

There may be tens of thousands of them for weeks, and the agent holds them all. As tuples with their texts they would take
500 bytes each; in columns they take 80, and one is put together where it is asked for. Texts that thousands share (region,
purpose, vehicle, reason) are held once for each combination; there are never more of these than the ledger has named.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from fsd_agent.records.clip_ids import ID_BYTES, unpack_ids
from fsd_agent.records.ledger import HASH_BYTES, LiveClip
from fsd_agent.records.purpose import Purpose
from fsd_agent.rules.id_rows import IdRows, take_out

_Texts = tuple[str, Purpose | None, str, str]
"""Region id, purpose, why it was given up, vehicle."""
_STAGED, _SEALED, _REDACTED, _SENT, _RECEIPTED = (1 << bit for bit in range(5))
_LENGTH = 5
"""Bits below the length of the hash, which is 0 before sealing."""
_ALL_MARKS = (1 << _LENGTH) - 1
_DONE: tuple[tuple[bool, bool, bool, bool, bool], ...] = tuple(
    (bool(m & _STAGED), bool(m & _SEALED), bool(m & _REDACTED), bool(m & _SENT), bool(m & _RECEIPTED))
    for m in range(_ALL_MARKS + 1)
)
"""What each combination of marks says: one is looked up a hundred thousand times at a start."""


class LiveClips:
    """See the module. Two with the same clips are equal."""

    def __init__(self, clips: Iterable[LiveClip] = ()) -> None:
        """Raises ``ValueError`` as :meth:`put` does."""
        self._rows = IdRows()
        self._since = array("q")
        self._marks = array("H")
        self._shared = array("I")
        """Which of ``_texts``."""
        self._sha256 = bytearray()
        self._texts: list[_Texts] = []
        self._numbers: dict[_Texts, int] = {}
        for clip in clips:
            self.put(clip)

    def __len__(self) -> int:
        """Count them."""
        return len(self._rows)

    def __iter__(self) -> Iterator[LiveClip]:
        """One by one, the oldest first. Nothing may change meanwhile."""
        return map(self._at, self._order().tolist(), unpack_ids(self.oldest_first()))

    def oldest_first(self) -> bytes:
        """Their ids, packed."""
        return self._ids()[self._order()].tobytes()

    def _order(self) -> NDArray[np.intp]:
        """Their rows, the oldest first; where two began with one record, by id."""
        return np.lexsort((self._ids(), np.asarray(self._since)))

    def at_rest(self) -> dict[str, bytes]:
        """Packed ids, by region, of those of which the sealed copy is the only one, and that wait: neither given up nor signed for."""
        found: dict[str, bytes] = {}
        sealed_only = np.asarray(self._marks) & (_STAGED | _SEALED | _RECEIPTED) == _SEALED
        for number, (region_id, _, dropped, _) in enumerate(self._texts):
            if not dropped:
                ids = self._ids()[sealed_only & (np.asarray(self._shared) == number)].tobytes()
                found[region_id] = found.get(region_id, b"") + ids
        return found

    def _ids(self) -> NDArray[np.bytes_]:
        return np.frombuffer(bytes(self._rows), f"S{ID_BYTES}")

    def __eq__(self, other: object) -> bool:
        """Whether the other has the same clips."""
        if not isinstance(other, LiveClips):
            return NotImplemented
        return len(self) == len(other) and all(mine == its for mine, its in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]  # it changes

    def get(self, clip_id: str) -> LiveClip | None:
        """One clip; None where it is not on the vehicle."""
        row = self._rows.find(clip_id)
        return None if row is None else self._at(row, clip_id)

    def put(self, clip: LiveClip) -> None:
        """Take it, or what is known of it now. Raises ``ValueError`` for a hash that is too long to be one."""
        if len(clip.sha256) > HASH_BYTES:
            raise ValueError(f"clip {clip.clip_id}: a hash of {len(clip.sha256)} bytes")
        row = self._rows.find(clip.clip_id)
        if row is None:
            row = self._rows.add(clip.clip_id)
            self._since.append(0)
            self._marks.append(0)
            self._shared.append(0)
            self._sha256 += bytes(HASH_BYTES)
        self._since[row] = clip.since
        self._marks[row] = _marks_of(clip)
        self._shared[row] = self._number((clip.region_id, clip.purpose, clip.dropped, clip.vehicle))
        self._sha256[row * HASH_BYTES : (row + 1) * HASH_BYTES] = clip.sha256.ljust(HASH_BYTES, b"\0")

    def remove(self, clip_id: str) -> None:
        """No copy of it is left; nothing happens where there was none."""
        row = self._rows.remove(clip_id)
        if row is not None:
            take_out(self._since, row)
            take_out(self._marks, row)
            take_out(self._shared, row)
            take_out(self._sha256, row, HASH_BYTES)

    def _number(self, texts: _Texts) -> int:
        number = self._numbers.setdefault(texts, len(self._texts))
        if number == len(self._texts):
            self._texts.append(texts)
        return number

    def _at(self, row: int, clip_id: str) -> LiveClip:
        region_id, purpose, dropped, vehicle = self._texts[self._shared[row]]
        marks, begin = self._marks[row], row * HASH_BYTES
        sha256 = bytes(self._sha256[begin : begin + (marks >> _LENGTH)])
        done = _DONE[marks & _ALL_MARKS]
        return LiveClip(clip_id, region_id, purpose, self._since[row], *done, dropped, vehicle, sha256)


def _marks_of(clip: LiveClip) -> int:
    return (
        clip.staged * _STAGED
        | clip.sealed * _SEALED
        | clip.redacted * _REDACTED
        | clip.sent * _SENT
        | clip.receipted * _RECEIPTED
        | len(clip.sha256) << _LENGTH
    )
