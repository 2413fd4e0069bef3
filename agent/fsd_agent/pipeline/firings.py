"""Firings that their region is told of by themselves, ahead of clips: one small message each.

- What leaves: ``rules.privacy.telling`` decides, by the policy of the moment of sending; then it is sealed to the region's key
  and signed by the device, anew each time.
- Where: to the region of the route, which must be the firing's own. Those of another region wait until the route is its.
- Consent to the firing's purpose is asked at the moment of sending. After a withdrawal all are looked up anew.
- Before the first byte of one is given to a connection, the ledger holds to whom.
- A firing is untold until the region's signed acknowledgement has come: a PUBACK ends nothing. Until then it is told again, with
  back-off and over every new connection; the region knows it by its id. So a stop at any point costs repeats and loses none.

The queue is the journal's (``ports.journal.MAX_UNTOLD``); at most :data:`AT_ONCE` are known here, beside those that get
nowhere, so that what a region can't take holds up nobody.

Threads: the delivering one; ``noted``, ``pending`` and ``trouble`` are for any.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

from fsd_agent.ports.broker import Message, Peer
from fsd_agent.ports.clock import Clock
from fsd_agent.ports.journal import Journal, JournalError
from fsd_agent.ports.ledger import Ledger, LedgerError
from fsd_agent.ports.vehicle_keys import VehicleKeyError, VehicleKeys
from fsd_agent.records.consent import Consented
from fsd_agent.records.firing import UntoldFiring
from fsd_agent.records.ledger import FiringSent
from fsd_agent.records.region import Route
from fsd_agent.rules.privacy.telling import told_firing
from fsd_agent.rules.uplink.backoff import BackoffPolicy, delay_ns
from fsd_agent.wire.firing import About, FiringError, encode_firing
from fsd_agent.wire.firing_ack import verify_firing_ack
from fsd_agent.wire.transfer import Topics
from fsd_agent.wire.verdict import VerdictError

AT_ONCE: Final = 64
"""Untold firings in memory, and so without an answer at a time."""
FAILING_MAX: Final = 1024
"""Of those that were told in vain: beyond, new ones wait for them."""
RECORDS_AT_ONCE: Final = 8
"""Due ones that are recorded together: one sync of the ledger, not one each."""
REFRESH_NS: Final = 5_000_000_000
"""The journal is asked again at least this often, for what nobody noted here."""
RETRY_NS: Final = 5_000_000_000
"""After a fault of the disk or of a key."""
ACKS_AT_ONCE: Final = 16
ACK_NS: Final = 200_000_000
"""So many acknowledgements, or so long after the first, are one write to the journal."""
AGAIN: Final = BackoffPolicy(first_ns=30_000_000_000, most_ns=3_600_000_000_000)
"""Longer than a window of segments before it takes on a slow link; the region's receiver may be away for hours."""
_NEVER_NS: Final = 2**63 - 1


@dataclass(frozen=True, slots=True, eq=False)
class FiringMessage:
    """One message, to be published."""

    firing_id: str
    topic: str
    payload: bytes = field(repr=False)


@dataclass(slots=True)
class _Known:
    untold: UntoldFiring
    due_ns: int
    attempts: int = 0

    @property
    def firing_id(self) -> str:
        return self.untold.judged.firing_id


class FiringTeller:
    """See the module."""

    def __init__(
        self,
        *,
        journal: Journal,
        ledger: Ledger,
        keys: VehicleKeys,
        clock: Clock,
        random: Callable[[], float],
    ) -> None:
        """``random`` gives numbers uniform in [0, 1), for jitter."""
        self.trouble = ""
        """Why nothing is told now; empty where there is no fault."""
        self._journal = journal
        self._ledger = ledger
        self._keys = keys
        self._clock = clock
        self._random = random
        self._where: Route | None = None
        self._withdrawals = 0
        """As of when what is known here was looked up."""
        self._known: dict[str, _Known] = {}
        self._more = False
        """The journal has more than was asked for."""
        self._recorded: set[str] = set()
        """Whose telling over the connection that is up is in the ledger."""
        self._acked: set[str] = set()
        """Told, and still untold in the journal."""
        self._write_acks_ns = _NEVER_NS
        self._stale = True
        self._refresh_ns = 0
        self._quiet_until_ns = 0

    def noted(self) -> None:
        """Firings were accepted: look soon."""
        self._stale = True

    @property
    def pending(self) -> bool:
        """Whether something is known that the region has not got, or that the journal does not know it has."""
        return bool(self._known or self._acked)

    def has_work(self, now_ns: int) -> bool:
        """Whether there may be something to do; cheap, and asked before each segment."""
        return self._stale or now_ns >= min(self._quiet_until_ns, self._write_acks_ns)

    def next(self, where: Route, peer: Peer, consented: Consented, now_ns: int) -> FiringMessage | None:
        """What to publish now over this connection, if anything; consent stays as it is until it is given away."""
        self._follow(where, consented)
        try:
            self._write_acks(now_ns)
            self._refresh(now_ns)
            message = self._next(where, peer, consented, now_ns)
            if message is not None or not self._known:
                self.trouble = ""
        except JournalError as error:
            message = None
            self._failed(f"journal: {error}", now_ns)
        except LedgerError as error:
            message = None
            self._failed(f"ledger: {error}", now_ns)
        except (VehicleKeyError, FiringError) as error:
            message = None
            self._failed(f"firings: {error}", now_ns)
        return message

    def heard(self, where: Route, message: Message) -> bool:
        """Take an acknowledgement; False where the message is none. One that does not hold changes nothing."""
        topics = Topics(where.policy.region_id, where.registration.vehicle)
        if message.topic != topics.firing_ack:
            return False
        try:
            firing_id = verify_firing_ack(
                message.payload,
                where.policy.receipt_public_keys,
                region_id=topics.region,
                vehicle=topics.vehicle,
            )
        except VerdictError:
            return True
        if self._known.pop(firing_id, None) is not None:
            self._acked.add(firing_id)
            wait_ns = ACK_NS if len(self._acked) < ACKS_AT_ONCE else 0
            self._write_acks_ns = min(self._write_acks_ns, self._clock.monotonic_ns() + wait_ns)
        return True

    def interrupted(self) -> None:
        """The connection is gone: what has no answer is told again over the next one."""
        for one in self._known.values():
            one.due_ns = 0
        self._recorded.clear()
        self._quiet_until_ns = 0

    def _follow(self, where: Route, consented: Consented) -> None:
        """Forget what was looked up for another route, or before a withdrawal."""
        moved = where is not self._where and where != self._where
        if moved or consented.withdrawals != self._withdrawals:
            self._known.clear()
            self._stale = True
        self._where, self._withdrawals = where, consented.withdrawals

    def _write_acks(self, now_ns: int) -> None:
        if now_ns < self._write_acks_ns:
            return
        self._journal.told(self._acked)
        self._acked.clear()
        self._write_acks_ns = _NEVER_NS
        self._stale = self._stale or self._more

    def _refresh(self, now_ns: int) -> None:
        """Take over the journal's oldest, when asked to and now and then."""
        if self._where is None or not (self._stale or now_ns >= self._refresh_ns):
            return
        self._stale = False
        failing = sum(one.attempts > 1 for one in self._known.values())
        limit = AT_ONCE + min(failing, FAILING_MAX) + len(self._acked)
        found = self._journal.untold(self._where.policy.region_id, limit=limit)
        self._more = len(found) == limit
        before, self._known = self._known, {}
        for one in found:
            firing_id = one.judged.firing_id
            if firing_id not in self._acked:
                self._known[firing_id] = before.get(firing_id) or _Known(one, now_ns)
        self._refresh_ns = now_ns + REFRESH_NS
        self._quiet_until_ns = 0

    def _next(self, where: Route, peer: Peer, consented: Consented, now_ns: int) -> FiringMessage | None:
        due = self._due(consented, now_ns)
        first = next(due, None)
        if first is None:
            soonest_ns = min(
                (one.due_ns for one in self._known.values() if one.due_ns > now_ns), default=_NEVER_NS
            )
            self._quiet_until_ns = min(self._refresh_ns, soonest_ns)
            return None
        try:
            message = self._message(first, where)
        except FiringError:  # This one alone: others have their turn
            self._postpone(first, now_ns)
            raise
        if first.firing_id not in self._recorded:
            self._record([first, *islice(due, RECORDS_AT_ONCE - 1)], peer)
        self._postpone(first, now_ns)
        return message

    def _postpone(self, one: _Known, now_ns: int) -> None:
        one.due_ns = now_ns + delay_ns(AGAIN, one.attempts, self._random())
        one.attempts += 1

    def _due(self, consented: Consented, now_ns: int) -> Iterator[_Known]:
        for one in self._known.values():
            if one.due_ns <= now_ns and one.untold.telling.purpose in consented.given:
                yield one

    def _message(self, one: _Known, where: Route) -> FiringMessage:
        topics = Topics(where.policy.region_id, where.registration.vehicle)
        payload = encode_firing(
            told_firing(one.untold, where),
            About(topics.region, topics.vehicle, one.firing_id),
            to=where.policy.sealing_keys[0],
            sign=self._keys.sign,
            device_key_id=self._keys.device_key_id(),
        )
        return FiringMessage(one.firing_id, topics.firing(one.firing_id), payload)

    def _record(self, told: list[_Known], peer: Peer) -> None:
        new = [one for one in told if one.firing_id not in self._recorded]
        self._ledger.append(*(_fact(one.untold, peer) for one in new))
        self._recorded.update(one.firing_id for one in new)

    def _failed(self, fault: str, now_ns: int) -> None:
        """Told as trouble, and tried again; the firings stay."""
        self.trouble = fault
        self._stale = False
        self._refresh_ns = self._quiet_until_ns = now_ns + RETRY_NS
        if self._acked:
            self._write_acks_ns = now_ns + RETRY_NS


def _fact(one: UntoldFiring, peer: Peer) -> FiringSent:
    firing = one.judged.firing
    return FiringSent(
        one.region_id,
        one.telling.purpose,
        one.judged.firing_id,
        firing.campaign_id,
        firing.campaign_version,
        peer.host,
        peer.port,
        peer.identity_uri,
        peer.certificate_sha256,
    )
