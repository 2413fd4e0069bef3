"""A region's side of the uplink in memory: reassembles, checks the hash, signs; keeps what it is told of firings. Opens nothing.

The real one is ``fsd_tools.region.receiver``; this one stands for it where a test is about the vehicle.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from fsd_agent.records.clip import Receipt
from fsd_agent.records.region import Route
from fsd_agent.testing.regions import sample_region
from fsd_agent.wire.firing import About
from fsd_agent.wire.firing_ack import encode_firing_ack
from fsd_agent.wire.pieces import is_known_by
from fsd_agent.wire.receipt import encode_receipt
from fsd_agent.wire.refusal import Refusal, RefusalReason, encode_refusal
from fsd_agent.wire.transfer import (
    RANGES_MAX,
    VERSION,
    DownKind,
    Fin,
    Have,
    Init,
    Topics,
    UpAddress,
    UpKind,
    decode,
    encode,
    parse_firing,
    parse_up,
)

STORED_WALL_NS = 1_700_000_000_000_000_000


@dataclass(slots=True)
class _Partial:
    sha256: bytes
    data: bytearray
    grid: int
    got: set[int] = field(default_factory=set)

    def missing(self) -> tuple[tuple[int, int], ...]:
        joined: list[tuple[int, int]] = []
        for start in range(0, len(self.data), self.grid):
            if start in self.got:
                continue
            end = min(start + self.grid, len(self.data))
            if joined and joined[-1][1] == start:
                joined[-1] = (joined[-1][0], end)
            else:
                joined.append((start, end))
        return tuple(joined[:RANGES_MAX])


class MemoryRegion:
    """See the module; :meth:`handle` is a :data:`fsd_agent.testing.broker.Listener`."""

    def __init__(
        self, region_id: str = "cn", *, port: int = 8883, jurisdictions: tuple[str, ...] = ("CN",)
    ) -> None:
        self.region_id = region_id
        self.sample = sample_region(region_id, jurisdictions, port=port)
        self.stored: dict[tuple[str, str], bytes] = {}
        """Sealed files by (vehicle, clip id)."""
        self.stores = 0
        """How often something was stored."""
        self.told: dict[tuple[str, str], bytes] = {}
        """What came first of each firing by (vehicle, firing id), sealed."""
        self.tellings: list[str] = []
        """Firing ids as they came, each time anew."""
        self.answers_firings = True
        """Unset to keep what is told and say nothing."""
        self.refuses: set[str] = set()
        """Clip ids to refuse once they are complete."""
        self._partial: dict[tuple[str, str], _Partial] = {}

    def route(self, vehicle: str = "car-1") -> Route:
        """A route of a vehicle to this region."""
        return self.sample.route(vehicle)

    def restart(self) -> None:
        """Lose every transfer that is not complete, as a receiver whose disk was replaced."""
        self._partial.clear()

    def handle(self, topic: str, payload: bytes) -> list[tuple[str, bytes]]:
        """Take one message, give the answers."""
        told = parse_firing(self.region_id, topic)
        if told is not None:
            return self._firing(About(self.region_id, *told), payload)
        address = parse_up(self.region_id, topic)
        key = (address.vehicle, address.clip_id)
        if address.kind is UpKind.SEGMENT:
            partial = self._partial.get(key)
            if partial is not None and hashlib.sha256(payload).digest() == address.sha256:
                partial.data[address.offset : address.offset + len(payload)] = payload
                partial.got.add(address.offset)
            return []
        message = decode(Init, payload) if address.kind is UpKind.INIT else decode(Fin, payload)
        return [self._answer(address, message)]

    def _firing(self, about: About, payload: bytes) -> list[tuple[str, bytes]]:
        self.told.setdefault((about.vehicle, about.firing_id), payload)
        self.tellings.append(about.firing_id)
        if not self.answers_firings:
            return []
        ack = encode_firing_ack(about, self.sample.receipt_key)
        return [(Topics(self.region_id, about.vehicle).firing_ack, ack)]

    def _answer(self, address: UpAddress, message: Init | Fin) -> tuple[str, bytes]:
        key = (address.vehicle, address.clip_id)
        if key in self.stored:
            return self._receipt(address, message.sha256)
        partial = self._partial.get(key)
        if partial is None or partial.sha256 != message.sha256:
            partial = _Partial(message.sha256, bytearray(message.size), message.segment_bytes)
            self._partial[key] = partial
        if isinstance(message, Init) or partial.missing():
            return self._have(address, message, partial)
        if address.clip_id in self.refuses:
            return self._refusal(address, message.sha256)
        if not is_known_by(message.sha256, lambda: [bytes(partial.data)]):
            partial.got.clear()
            return self._have(address, message, partial)
        self.stored[key] = bytes(partial.data)
        self.stores += 1
        del self._partial[key]
        return self._receipt(address, message.sha256)

    def _have(self, address: UpAddress, message: Init | Fin, partial: _Partial) -> tuple[str, bytes]:
        have = Have(v=VERSION, ask=message.ask, sha256=message.sha256, missing=partial.missing())
        return self._down(address, DownKind.HAVE), encode(have)

    def _receipt(self, address: UpAddress, sha256: bytes) -> tuple[str, bytes]:
        receipt = Receipt(address.clip_id, self.region_id, address.vehicle, sha256, STORED_WALL_NS)
        return self._down(address, DownKind.RECEIPT), encode_receipt(receipt, self.sample.receipt_key)

    def _refusal(self, address: UpAddress, sha256: bytes) -> tuple[str, bytes]:
        refusal = Refusal(
            address.clip_id, self.region_id, address.vehicle, sha256, RefusalReason.NOT_A_CLIP, "told to"
        )
        return self._down(address, DownKind.REFUSE), encode_refusal(refusal, self.sample.receipt_key)

    def _down(self, address: UpAddress, kind: DownKind) -> str:
        return Topics(self.region_id, address.vehicle).down(kind, address.clip_id)
