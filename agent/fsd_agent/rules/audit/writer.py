"""How facts become frames: numbering, chaining, signing at least every ``SIGN_EVERY`` records.

Nothing is written here, and no state is changed: the caller does both, in this order.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from fsd_agent.records.ledger import LAZY, Entry, Fact, Head
from fsd_agent.rules.audit.merkle import Frontier, leaf_hash
from fsd_agent.rules.audit.state import SIGN_EVERY, LedgerState, head_of
from fsd_agent.wire.ledger import Signed, encode_entry, sign_checkpoint, sign_value
from fsd_agent.wire.ledger_file import HEAD, RECORD, encode_frame


@dataclass(frozen=True, slots=True)
class LedgerLimits:
    """Sizes of a ledger on the vehicle."""

    segment_bytes: int = 1 << 20
    """About 4,500 records, 500 clips."""
    keep_bytes: int = 8 << 20
    """Beyond it, segments go that a region has acknowledged: some 4,000 clips."""
    most_bytes: int = 16 << 20
    """Beyond it, the oldest goes in any case, and the ledger says that nobody had acknowledged it."""


LEDGER_LIMITS = LedgerLimits()


@dataclass(frozen=True, slots=True)
class Batch:
    """Frames to be written, and what they add."""

    data: bytes
    added: tuple[tuple[Entry, Frontier, bytes], ...]
    """(entry, the tree with it, its check): ``LedgerState.take``."""
    signed_size: int
    """Records that the newest head covers, with this batch."""
    lazy: bool
    """It need not be durable by itself."""


@dataclass(frozen=True, slots=True)
class Signer:
    """The device's key, as far as a ledger needs it."""

    sign: Callable[[bytes], bytes]
    key_id: str

    def head(self, frontier: Frontier, chain: bytes, wall_ns: int) -> Signed[Head]:
        """Over all records in ``frontier``."""
        return sign_value(head_of(frontier, chain, wall_ns=wall_ns, device_key_id=self.key_id), self.sign)

    def checkpoint(self, state: LedgerState, wall_ns: int) -> bytes:
        """Over all records of ``state``, for verification to begin from; encoded, because of the clips in it."""
        summary = state.summary(wall_ns=wall_ns, device_key_id=self.key_id)
        return sign_checkpoint(summary, state.live, self.sign)


def batch(
    state: LedgerState,
    facts: Sequence[Fact],
    *,
    signer: Signer,
    signed_size: int,
    confirmed: int,
    wall_ns: int,
    mono_ns: int,
) -> Batch:
    """The frames of ``facts`` behind ``state``, which is not touched.

    ``signed_size`` and ``confirmed``: records that the newest head covers, and that the medium has confirmed. Raises
    :class:`~fsd_agent.wire.ledger.LedgerFormatError` for a fact that could not be read again.
    """
    frontier, chain = state.frontier, state.chain
    frames, added = [], []
    for fact in facts:
        entry = Entry(frontier.size, wall_ns, mono_ns, fact)
        body = encode_entry(entry)
        frame, chain = encode_frame(RECORD, body, chain, confirmed)
        frontier = frontier.add(leaf_hash(body))
        added.append((entry, frontier, chain))
        frames.append(frame)
        if frontier.size - signed_size >= SIGN_EVERY:
            frames.append(head_frame(signer.head(frontier, chain, wall_ns), confirmed))
            signed_size = frontier.size
    return Batch(b"".join(frames), tuple(added), signed_size, all(type(fact) in LAZY for fact in facts))


def head_frame(head: Signed[Head], confirmed: int) -> bytes:
    """A head as it stands in a segment."""
    return encode_frame(HEAD, head.encode(), head.value.chain, confirmed)[0]
