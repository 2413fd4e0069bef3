"""The clips that are on the vehicle, by id, as a ledger's state holds them: packed.

There may be tens of thousands of them for weeks, and the agent holds them all. As tuples with their texts they would take
500 bytes each; packed they take 200, and one is unpacked where it is asked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from fsd_agent.records.ledger import LiveClip
from fsd_agent.records.purpose import Purpose

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(
    tuple[str, Purpose | None, int, bool, bool, bool, bool, bool, str, str, bytes]
).decode
"""The fields of ``LiveClip`` behind the id."""


class LiveClips:
    """See the module. Two with the same clips are equal."""

    def __init__(self, clips: Iterable[LiveClip] = ()) -> None:
        self._packed: dict[bytes, bytes] = {}
        for clip in clips:
            self.put(clip)

    def __len__(self) -> int:
        """Count them."""
        return len(self._packed)

    def __iter__(self) -> Iterator[LiveClip]:
        """One by one, in the order of their newest change."""
        for key, packed in self._packed.items():
            yield LiveClip(key.hex(), *_decode(packed))

    def __eq__(self, other: object) -> bool:
        """Whether the other has the same clips."""
        return isinstance(other, LiveClips) and self._packed == other._packed

    __hash__ = None  # type: ignore[assignment]  # it changes

    def get(self, clip_id: str) -> LiveClip | None:
        """One clip; None where it is not on the vehicle."""
        packed = self._packed.get(bytes.fromhex(clip_id))
        return None if packed is None else LiveClip(clip_id, *_decode(packed))

    def put(self, clip: LiveClip) -> None:
        """Take it, or what is known of it now."""
        key = bytes.fromhex(clip.clip_id)
        self._packed.pop(key, None)
        self._packed[key] = _encode(clip[1:])

    def remove(self, clip_id: str) -> None:
        """No copy of it is left; nothing happens where there was none."""
        self._packed.pop(bytes.fromhex(clip_id), None)
