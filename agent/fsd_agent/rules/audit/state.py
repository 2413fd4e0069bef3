"""What a ledger knows after its newest record, without the records: all that the vehicle must remember to go on.

Two of these that were given the same records are equal, whoever keeps them; a checkpoint holds all of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Self, get_args

from fsd_agent.records.ledger import (
    Checkpoint,
    ClipFact,
    ConsentChanged,
    Copy,
    Dropped,
    Entry,
    Erased,
    Fact,
    Fired,
    Head,
    LiveClip,
    Receipted,
    Redacted,
    Sealed,
    Sent,
)
from fsd_agent.records.purpose import Purpose
from fsd_agent.rules.audit.live import LiveClips
from fsd_agent.rules.audit.merkle import Frontier, leaf_hash
from fsd_agent.wire.ledger_file import START_CHAIN

SIGN_EVERY = 64
"""Records between signed heads at most: how closely a forgery without the device's key can be placed. An Ed25519
signature costs about 50 us in software and a few ms in a secure element."""

MAX_LIVE = 60_000
"""Clips on the vehicle with which a new segment is begun: its checkpoint holds them all, below
``wire.ledger.MAX_CHECKPOINT_BYTES``. With more, which no spool has room for, the segment grows."""

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
    consent: frozenset[Purpose] | None = None
    """Purposes that are consented to; None while nothing was ever recorded about consent."""
    live: LiveClips = field(default_factory=LiveClips)
    """Clips that are on the vehicle."""
    receipts: dict[str, bytes] = field(default_factory=dict, compare=False)
    """Of those, what their regions have signed, by clip id; only since the newest checkpoint, which does not hold it. From the
    receipt to the erasure of a clip it is moments, so there are few, and hardly ever a checkpoint lies between."""

    @property
    def size(self) -> int:
        """Records so far; the number of the next one."""
        return self.frontier.size

    @classmethod
    def after(cls, checkpoint: Checkpoint, live: Iterable[LiveClip] | None = None) -> Self:
        """The state that verification goes on from; ValueError where its peaks don't fit its size, or a hash is none.

        ``live``: its clips, where it has them not.
        """
        counts = Counter({(kind, region): count for kind, region, count in checkpoint.counts})
        frontier = Frontier(checkpoint.head.size, checkpoint.peaks)
        since_wall_ns, until_wall_ns = checkpoint.since_wall_ns, checkpoint.until_wall_ns
        consent = None if checkpoint.consent is None else frozenset(checkpoint.consent)
        clips = LiveClips(checkpoint.live if live is None else live)
        return cls(frontier, checkpoint.head.chain, counts, since_wall_ns, until_wall_ns, consent, clips)

    def add(self, entry: Entry, body: bytes, chain: bytes) -> None:
        """Take one more record: its bytes, and its check in the file."""
        self.take(entry, self.frontier.add(leaf_hash(body)), chain)

    def take(self, entry: Entry, frontier: Frontier, chain: bytes) -> None:
        """The same, where the tree with it is known: by who has just made the record."""
        if not self.size:
            self.since_wall_ns = entry.wall_ns
        self.until_wall_ns = entry.wall_ns
        self.frontier = frontier
        self.chain = chain
        fact = entry.fact
        self.counts[type(fact).__name__, region_of(fact)] += 1
        if isinstance(fact, ConsentChanged):
            self.consent = consent_after(self.consent, fact)
        elif isinstance(fact, _CLIP_FACTS):
            after = clip_after(self.live.get(fact.clip_id), entry.number, fact)
            if isinstance(fact, Receipted):
                self.receipts[fact.clip_id] = fact.receipt
            if after is not None:
                self.live.put(after)
            else:
                self.live.remove(fact.clip_id)
                self.receipts.pop(fact.clip_id, None)

    def head(self, *, wall_ns: int, device_key_id: str) -> Head:
        """To be signed."""
        return head_of(self.frontier, self.chain, wall_ns=wall_ns, device_key_id=device_key_id)

    def checkpoint(self, *, wall_ns: int, device_key_id: str) -> Checkpoint:
        """To be signed, at the end of a segment."""
        summary = self.summary(wall_ns=wall_ns, device_key_id=device_key_id)
        return replace(summary, live=tuple(self.live))

    def summary(self, *, wall_ns: int, device_key_id: str) -> Checkpoint:
        """The same without the clips, which ``live`` gives one by one."""
        counts = tuple(sorted((kind, region, count) for (kind, region), count in self.counts.items()))
        head = self.head(wall_ns=wall_ns, device_key_id=device_key_id)
        consent = None if self.consent is None else tuple(sorted(self.consent))
        return Checkpoint(
            head, self.frontier.peaks, counts, self.since_wall_ns, self.until_wall_ns, consent, live=()
        )


def head_of(frontier: Frontier, chain: bytes, *, wall_ns: int, device_key_id: str) -> Head:
    """A head over the records in ``frontier``, the last of which has the check ``chain``."""
    return Head(frontier.size, frontier.root(), chain, wall_ns, device_key_id)


def region_of(fact: Fact) -> str:
    """The region that a fact names; empty where it names none."""
    return getattr(fact, "region_id", "")


def consent_after(consent: frozenset[Purpose] | None, fact: ConsentChanged) -> frozenset[Purpose]:
    """The purposes that are consented to after the user's word."""
    before = consent or frozenset()
    return before | {fact.purpose} if fact.given else before - {fact.purpose}


def clip_after(clip: LiveClip | None, number: int, fact: ClipFact) -> LiveClip | None:
    """A clip after a fact about it; None when no copy of it is left. Facts in a wrong order are taken as they are."""
    clip = clip or LiveClip(fact.clip_id, fact.region_id, None, number, staged=False)
    match fact:
        case Fired():
            clip = clip._replace(staged=True, purpose=clip.purpose or fact.purpose)
        case Redacted():
            clip = clip._replace(redacted=True)
        case Sealed():
            clip = clip._replace(sealed=True, vehicle=fact.vehicle, sha256=fact.sha256)
        case Sent():
            clip = clip._replace(sent=True)
        case Receipted():
            clip = clip._replace(receipted=True)
        case Dropped():
            clip = clip._replace(dropped=str(fact.reason))
        case Erased():
            staged = clip.staged and fact.copy is not Copy.STAGED
            sealed = clip.sealed and fact.copy is not Copy.SEALED
            clip = clip._replace(staged=staged, sealed=sealed)
    return clip if clip.staged or clip.sealed else None
