"""What a ledger knows after its newest record, without the records: all that the vehicle must remember to go on.

Two of these that were given the same records are equal, whoever keeps them; a checkpoint holds all of it but ``live``.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Self, get_args

from fsd_agent.records.ledger import (
    Carried,
    Checkpoint,
    ClipFact,
    Copy,
    Dropped,
    Entry,
    Erased,
    Fact,
    Fired,
    Head,
    Receipted,
    Redacted,
    Sealed,
    Sent,
)
from fsd_agent.rules.audit.merkle import Frontier, leaf_hash
from fsd_agent.wire.ledger_file import START_CHAIN

SIGN_EVERY = 64
"""Records between signed heads at most: how closely a forgery without the device's key can be placed. An Ed25519
signature costs about 50 us in software and a few ms in a secure element."""

_CLIP_FACTS = get_args(ClipFact)


@dataclass(slots=True)
class LedgerState:
    """See the module."""

    frontier: Frontier = field(default_factory=Frontier)
    chain: bytes = START_CHAIN
    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    """By kind and region id (empty where the kind has none)."""
    since_wall_ns: int = 0
    until_wall_ns: int = 0
    live: dict[str, tuple[int, Carried]] = field(default_factory=dict)
    """Clips that are on the vehicle, by id: the record from which on their account is whole, and the account."""

    @property
    def size(self) -> int:
        """Records so far; the number of the next one."""
        return self.frontier.size

    @classmethod
    def after(cls, checkpoint: Checkpoint) -> Self:
        """The state that verification goes on from; ValueError where its peaks don't fit its size."""
        counts = Counter({(kind, region): count for kind, region, count in checkpoint.counts})
        frontier = Frontier(checkpoint.head.size, checkpoint.peaks)
        return cls(
            frontier, checkpoint.head.chain, counts, checkpoint.since_wall_ns, checkpoint.until_wall_ns
        )

    def add(self, entry: Entry, body: bytes, chain: bytes) -> None:
        """Take one more record: its bytes, and its check in the file."""
        if not self.size:
            self.since_wall_ns = entry.wall_ns
        self.until_wall_ns = entry.wall_ns
        self.frontier = self.frontier.add(leaf_hash(body))
        self.chain = chain
        fact = entry.fact
        self.counts[type(fact).__name__, region_of(fact)] += 1
        if isinstance(fact, _CLIP_FACTS):
            self._clip(entry.number, fact)

    def _clip(self, number: int, fact: ClipFact) -> None:
        begun, clip = self.live.get(fact.clip_id, (number, None))
        after = clip_after(clip, number, fact)
        if after is None:
            self.live.pop(fact.clip_id, None)
        else:
            self.live[fact.clip_id] = (number if isinstance(fact, Carried) else begun, after)

    def head(self, *, wall_ns: int, device_key_id: str) -> Head:
        """To be signed."""
        return head_of(self.frontier, self.chain, wall_ns=wall_ns, device_key_id=device_key_id)

    def checkpoint(self, *, wall_ns: int, device_key_id: str) -> Checkpoint:
        """To be signed, at the end of a segment."""
        counts = tuple(sorted((kind, region, count) for (kind, region), count in self.counts.items()))
        head = self.head(wall_ns=wall_ns, device_key_id=device_key_id)
        return Checkpoint(head, self.frontier.peaks, counts, self.since_wall_ns, self.until_wall_ns)


def head_of(frontier: Frontier, chain: bytes, *, wall_ns: int, device_key_id: str) -> Head:
    """A head over the records in ``frontier``, the last of which has the check ``chain``."""
    return Head(frontier.size, frontier.root(), chain, wall_ns, device_key_id)


def region_of(fact: Fact) -> str:
    """The region that a fact names; empty where it names none."""
    return getattr(fact, "region_id", "")


def clip_after(clip: Carried | None, number: int, fact: ClipFact) -> Carried | None:
    """A clip after a fact about it; None when no copy of it is left. Facts in a wrong order are taken as they are."""
    if isinstance(fact, Carried):
        return fact
    clip = clip or Carried(fact.clip_id, fact.region_id, number, staged=False)
    match fact:
        case Fired():
            clip = replace(clip, staged=True)
        case Redacted():
            clip = replace(clip, redacted=True)
        case Sealed():
            clip = replace(clip, sealed=True, vehicle=fact.vehicle, sha256=fact.sha256)
        case Sent():
            clip = replace(clip, sent=True)
        case Receipted():
            clip = replace(clip, receipted=True)
        case Dropped():
            clip = replace(clip, dropped=True)
        case Erased():
            staged = clip.staged and fact.copy is not Copy.STAGED
            sealed = clip.sealed and fact.copy is not Copy.SEALED
            clip = replace(clip, staged=staged, sealed=sealed)
    return clip if clip.staged or clip.sealed else None
