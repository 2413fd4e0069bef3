"""Deliver: sealed clips go to the one region of the route, and are erased on its signed receipt.

- Where: one of the current route's endpoints. On hold nothing is connected and nothing is sent. When the route changes,
  the connection is closed first, and everything about the old region is forgotten here (not on disk).
- What: small messages first (the status, and firings that the region is told of by themselves: :mod:`.firings`), then clips as :mod:`fsd_agent.rules.uplink.schedule` says, as far as
  :mod:`fsd_agent.pipeline.gate` lets them: a clip that may not go now waits and holds up nobody.
- A connection belongs to the link that it was made over. When firmware names another, it is made anew.
- Before the first byte of a clip goes to a connection, the ledger holds to whom; where it can't, the clip waits.
- A clip without consent to its purpose is not sent, and where consent was withdrawn, nothing more of it is given to the
  connection; a receipt that comes after that changes nothing.
- When it may be erased: see :mod:`fsd_agent.pipeline.endings`.

Threads: one thread calls ``step`` (or ``run``) and ``close``; ``notify``, ``post``, ``flushed``, ``stats`` and ``sending`` are for
any.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Executor

from fsd_agent.pipeline.book import ClipBook
from fsd_agent.pipeline.consent import Consents
from fsd_agent.pipeline.endings import Endings
from fsd_agent.pipeline.firings import FiringMessage, FiringTeller
from fsd_agent.pipeline.gate import Gate, OpenGate
from fsd_agent.pipeline.lane import Lane
from fsd_agent.pipeline.link import Link, LinkLimits
from fsd_agent.pipeline.outbox import Outbox, SmallMessage
from fsd_agent.pipeline.passage import Passage
from fsd_agent.pipeline.power import AlwaysOn, Loop, Power
from fsd_agent.pipeline.soundness import AtOnce
from fsd_agent.ports.broker import Acked, Broker, BrokerEvent, Connected, Disconnected, Message
from fsd_agent.ports.clock import Clock
from fsd_agent.ports.events import EventName, EventSink
from fsd_agent.ports.journal import Journal, JournalError
from fsd_agent.ports.ledger import Ledger, LedgerError
from fsd_agent.ports.spool import CompartmentKeyError, SpoolDamagedError, SpoolError, SpoolStore
from fsd_agent.records.clip import ClipRow
from fsd_agent.records.consent import Consented
from fsd_agent.records.delivery import DeliveryStats
from fsd_agent.records.reasons import DropReason
from fsd_agent.records.region import Hold, Route
from fsd_agent.rules.uplink.power import Phase
from fsd_agent.rules.uplink.schedule import Decision, Delivered, UplinkCounts
from fsd_agent.rules.uplink.transfer import Emission, SendFin, SendInit, UplinkLimits

REFRESH_NS = 5_000_000_000
"""The journal is asked again at least this often, for clips that nobody notified us of."""
IDLE_S = 0.5
"""Longest wait of one step in ``run``."""
_NO_ANSWER = "the broker took a question and no answer came: the region's receiver is away, or the broker keeps the question from it"
UPLINK_LIMITS = UplinkLimits()
LINK_LIMITS = LinkLimits()


class Deliverer:
    """See the module."""

    def __init__(
        self,
        *,
        broker: Broker,
        journal: Journal,
        spool: SpoolStore,
        ledger: Ledger,
        consent: Consents,
        clock: Clock,
        events: EventSink,
        route_source: Callable[[], Route | Hold],
        on_message: Callable[[Route, Message], None],
        random: Callable[[], float],
        limits: UplinkLimits = UPLINK_LIMITS,
        link_limits: LinkLimits = LINK_LIMITS,
        overdue: Callable[[], Sequence[str]] = tuple,
        gate: Gate | None = None,
        power: Power | None = None,
        beside: Executor | None = None,
        firings: FiringTeller | None = None,
    ) -> None:
        """``on_message`` gets what is not about a clip (campaigns), with the route it came over, on our thread.

        ``random`` gives numbers uniform in [0, 1), for jitter and for the first question's number. ``overdue`` gives up
        sealed clips that may not be kept any longer, whatever their region, and names them; on our thread, at each step.
        Without a ``gate`` everything may go, and without ``power`` at any time; asleep, nobody is connected.
        ``beside`` hashes whole files while others are sent; without it that is done on our thread. Without ``firings``
        no region is told of any by itself.
        """
        self._journal = journal
        self._spool = spool
        self._clock = clock
        self._events = events
        self._book = ClipBook(ledger)
        self._consent = consent
        self._withdrawals = 0
        """As of when the clips that are known here were looked up."""
        self._endings = Endings(journal, self._book, spool, events)
        self._route_source = route_source
        self._on_message = on_message
        self._random = random
        self._limits = limits
        self._overdue = overdue
        self._gate = gate or OpenGate()
        self._power = power or AlwaysOn()
        self._passage = Passage(self._gate)
        self._beside = beside or AtOnce()
        self._firings = firings
        self._firings_turn = False
        """Whether a firing goes before the status the next time that one of them may go."""
        self._link: Link[Emission | SmallMessage | FiringMessage] = Link(broker, link_limits, random)
        self._outbox = Outbox()
        self._lane: Lane | None = None
        self._recorded: set[str] = set()
        """Clips whose sending over the connection that is up is in the ledger."""
        self._stale = True
        self._refresh_at_ns = 0
        self._past = UplinkCounts()
        self._publishes_refused = 0
        self._trouble = ""
        self._stats = self._picture()
        self._sending: frozenset[str] = frozenset()

    def notify(self) -> None:
        """A clip was sealed, or the route may have changed: look now."""
        self._stale = True
        self._link.broker.wake()

    def post(self, topic: str, payload: bytes, *, retain: bool) -> None:
        """Send a small message ahead of clips; the newest of a topic wins. See :mod:`.outbox`."""
        self._outbox.put(topic, payload, retain=retain)
        self._link.broker.wake()

    def flushed(self) -> bool:
        """No small message waits for a broker that is there."""
        pending = self._outbox.pending or (self._firings is not None and self._firings.pending)
        return not pending or not self._stats.connected

    def stats(self) -> DeliveryStats:
        """As of the end of the last step."""
        return self._stats

    @property
    def sending(self) -> frozenset[str]:
        """Clips whose transfer is under way, as of the end of the last step."""
        return self._sending

    def run(self, stop: threading.Event) -> None:
        """Step until ``stop`` is set (call ``notify`` after setting it to end a wait at once), and close."""
        try:
            while not stop.is_set():
                self.step(IDLE_S)
        finally:
            self.close()

    def step(self, timeout_s: float) -> None:
        """Follow the route, fill the window, and wait up to ``timeout_s`` for what comes back."""
        now_ns = self._clock.monotonic_ns()
        asleep = self._power.phase is Phase.ASLEEP
        self._follow(None if asleep else self._route_source(), now_ns)
        if asleep:
            self._power.rest(Loop.DELIVER)
        for clip_id in self._overdue():
            if self._lane is not None:
                self._ended(self._lane, clip_id, ended=True)
        wait_s = timeout_s
        if self._lane is not None:
            lane = self._lane
            self._follow_link(lane, now_ns)
            slept_ns = self._clock.suspended_ns()
            dead = self._link.keep(lane.route, lane.subscriptions, now_ns, slept_ns)
            if dead is not None:
                self._on_event(dead, now_ns)
            self._refresh(lane, now_ns)
            self._fill(lane, now_ns)
            wait_s = min(timeout_s, max(0, self._next_due_ns(lane, now_ns) - now_ns) / 1e9)
        for event in self._link.broker.events(wait_s):
            self._on_event(event, self._clock.monotonic_ns())
        if self._lane is not None and self._lane.schedule.expire(self._clock.monotonic_ns(), self._random()):
            self._trouble = _NO_ANSWER
        self._sending = self._lane.schedule.sending if self._lane is not None else frozenset()
        self._stats = self._picture()

    def close(self) -> None:
        """Disconnect. Safe to call twice; a later step connects again."""
        self._interrupt(self._clock.monotonic_ns())
        self._forget_files()
        self._link.close()
        self._passage.close()
        self._stats = self._picture()

    def _forget_files(self) -> None:
        if self._lane is not None:
            self._lane.files.forget_all()

    def _follow(self, wanted: Route | Hold | None, now_ns: int) -> None:
        """Make ``wanted`` the route that everything below works for."""
        route = wanted if isinstance(wanted, Route) else None
        current = self._lane.route if self._lane is not None else None
        if route is current or route == current:
            return
        self._interrupt(now_ns)
        self._link.close()
        self._passage.close()
        self._past = self._counts()
        self._forget_files()
        self._lane = None
        self._trouble = self._endings.trouble = ""  # A region is told nothing of another
        if route is not None:
            self._lane = Lane.open(
                route,
                self._spool,
                self._limits,
                int(self._random() * 2**32),
                state=self._journal,
                clock=self._clock,
                beside=self._beside,
                done=self._link.broker.wake,
            )
            self._trouble = self._lane.sent.trouble if self._lane.sent is not None else ""
            self._stale = True

    def _follow_link(self, lane: Lane, now_ns: int) -> None:
        """Let only go what may go over the link that there is, and make the connection anew where that is another one."""
        self._stale = self._passage.look(lane, now_ns) or self._stale
        if self._passage.is_another_link():
            self._interrupt(now_ns)
            self._link.close()

    def _refresh(self, lane: Lane, now_ns: int) -> None:
        """Take over the journal's sealed clips, when asked to and now and then."""
        if not self._stale and now_ns < self._refresh_at_ns:
            return
        self._stale = False
        self._refresh_at_ns = now_ns + REFRESH_NS
        try:
            with self._consent.steady() as consented:
                if consented.withdrawals != self._withdrawals:  # What is known here may be erased by now
                    lane.schedule.update(())
                    lane.files.forget_all()
                    self._withdrawals = consented.withdrawals
                lane.refresh(self._journal, consented.in_force, self._passage.admits)
            self._passage.count(self._journal, lane.topics.region)
        except JournalError as error:
            self._trouble = f"journal: {error}"

    def _fill(self, lane: Lane, now_ns: int) -> None:
        """Publish until the window is full, the rate is reached, or there is nothing to say."""
        while self._link.room > 0:
            if self._publish_small(lane, now_ns):
                continue
            is_due = now_ns >= self._gate.due_ns(small=False)
            emission = lane.schedule.next(now_ns, lane.files.unknown) if is_due else None
            if emission is None:
                return
            self._try_to_publish(lane, emission, now_ns)

    def _publish_small(self, lane: Lane, now_ns: int) -> bool:
        """The status and firings by turns, so that neither takes all of what metered links allow them."""
        if now_ns < self._gate.due_ns(small=True):
            return False
        ways = (self._publish_posted, self._publish_firing)
        for way in reversed(ways) if self._firings_turn else ways:
            if way(lane, now_ns):
                self._firings_turn = way == self._publish_posted
                return True
        return False

    def _publish_posted(self, lane: Lane, now_ns: int) -> bool:
        small = self._outbox.take(lane.topics)
        if small is None:
            return False
        self._give_small(small, retain=small.retain, now_ns=now_ns)
        return True

    def _publish_firing(self, lane: Lane, now_ns: int) -> bool:
        """Tell the region of one firing, if there is consent at that very moment."""
        if self._firings is None or self._link.peer is None or not self._firings.has_work(now_ns):
            return False
        with self._consent.steady() as consented:
            message = self._firings.next(lane.route, self._link.peer, consented, now_ns)
            if message is not None:
                self._give_small(message, retain=False, now_ns=now_ns)
        return message is not None

    def _give_small(self, small: SmallMessage | FiringMessage, *, retain: bool, now_ns: int) -> None:
        self._gate.charge_small(len(small.topic) + len(small.payload), now_ns)
        self._link.publish(small, small.topic, small.payload, retain=retain, now_ns=now_ns)

    def _try_to_publish(self, lane: Lane, emission: Emission, now_ns: int) -> None:
        """Publish one message about a clip, or say what becomes of the clip."""
        try:
            if not self._given_up_before(lane, emission.clip_id):
                self._publish(lane, emission, now_ns)
        except JournalError as error:  # What it would cost can't be kept
            self._trouble = f"journal: {error}"
            lane.schedule.postpone(emission.clip_id, now_ns, self._random())
        except LedgerError as error:
            self._trouble = f"ledger: {error}"
            self._events.emit("ledger_failed", clip=emission.clip_id, what=str(error))
            lane.schedule.postpone(emission.clip_id, now_ns, self._random())
        except SpoolDamagedError as error:
            self._drop(lane, emission.clip_id, DropReason.SPOOL_DAMAGED, str(error))
        except CompartmentKeyError as error:
            # No fault of the clip: it stays, and is tried again however often.
            self._trouble = f"spool: {error}"
            lane.schedule.postpone(emission.clip_id, now_ns, self._random())
        except SpoolError as error:
            self._trouble = f"spool: {error}"
            if lane.schedule.unreadable(emission.clip_id, now_ns, self._random()):
                self._drop(lane, emission.clip_id, DropReason.SPOOL_DAMAGED, str(error))

    def _publish(self, lane: Lane, emission: Emission, now_ns: int) -> None:
        """Give one message about a clip to the connection, if there is consent at that very moment."""
        row = lane.schedule.row(emission.clip_id)
        if isinstance(emission, SendInit) and not lane.files.is_sound(row):
            lane.schedule.unasked(row.clip_id, now_ns)
            return
        topic, payload = lane.files.render(emission, row)
        with self._consent.steady() as consented:
            if self._is_stale(consented):
                lane.schedule.postpone(row.clip_id, now_ns, self._random())
            elif row.purpose not in consented.given:
                self._trouble = f"no consent to {row.purpose} now"
                lane.schedule.postpone(row.clip_id, now_ns, self._random())
            elif not self._gate.charge(row.link, len(topic) + len(payload), now_ns):
                self._used_up(lane, row, now_ns)
            else:
                self._record_sending(lane, row.clip_id)
                self._link.publish(emission, topic, payload, retain=False, now_ns=now_ns)

    def _used_up(self, lane: Lane, row: ClipRow, now_ns: int) -> None:
        """The budget does not reach for a message of the clip: it waits, and asks anew what is missing when it goes on."""
        self._follow_link(lane, now_ns)
        if self._passage.admits.admits(row.link):  # It reaches for smaller ones
            lane.schedule.postpone(row.clip_id, now_ns, self._random())

    def _is_stale(self, consented: Consented) -> bool:
        """Whether clips that are known here may be gone; then nothing is done about any before they are looked up anew."""
        changed = consented.withdrawals != self._withdrawals
        self._stale = self._stale or changed
        return changed

    def _given_up_before(self, lane: Lane, clip_id: str) -> bool:
        """Carry through what the ledger says and the journal could not take; asked once a connection."""
        if clip_id in self._recorded:
            return False
        reason = self._book.given_up_before(lane.schedule.row(clip_id))
        if reason is not None:
            self._drop(lane, clip_id, reason, "recorded in the ledger before")
        return reason is not None

    def _record_sending(self, lane: Lane, clip_id: str) -> None:
        if self._link.peer is None:
            raise AssertionError("nobody is connected")
        if clip_id not in self._recorded:
            self._book.sending(lane.schedule.row(clip_id), self._link.peer)
            self._recorded.add(clip_id)

    def _next_due_ns(self, lane: Lane, now_ns: int) -> int:
        """When there may be something to do without an event."""
        due_ns = min(self._refresh_at_ns, self._link.next_due_ns(now_ns))
        if not self._link.connected:
            return due_ns
        rated_ns = self._gate.due_ns(small=False)
        return min(due_ns, rated_ns if now_ns < rated_ns else lane.schedule.next_due_ns(now_ns))

    def _on_event(self, event: BrokerEvent, now_ns: int) -> None:
        match event:
            case Acked():
                self._on_acked(event, now_ns)
            case Message():
                self._on_inbound(event, now_ns)
            case Disconnected():
                self._on_disconnected(event, now_ns)
            case Connected():
                self._link.on_connected(event, now_ns)
                self._recorded.clear()
                self._events.emit("connected", region=self._region_id(), mqtt=event.mqtt)

    def _on_disconnected(self, event: Disconnected, now_ns: int) -> None:
        self._interrupt(now_ns)
        self._link.on_disconnected(event, now_ns)
        self._trouble = f"broker: {event.reason}"
        name: EventName = "refused" if event.refused else "disconnected"
        self._events.emit(name, region=self._region_id(), reason=event.reason)

    def _interrupt(self, now_ns: int) -> None:
        """Nothing that was in flight can be counted on."""
        self._outbox.interrupted()
        if self._firings is not None:
            self._firings.interrupted()
        if self._lane is not None:
            self._lane.schedule.disconnected(now_ns)
            self._keep_sent(self._lane, at_once=True)

    def _keep_sent(self, lane: Lane, *, at_once: bool = False) -> None:
        """What is not written costs those segments again after a restart, and nothing else."""
        try:
            lane.keep_sent(at_once=at_once)
        except JournalError as error:
            self._trouble = f"journal: {error}"

    def _on_acked(self, event: Acked, now_ns: int) -> None:
        what = self._link.on_acked(event, now_ns)
        if what is None or self._lane is None:
            return
        if event.refusal:
            self._publishes_refused += 1
            self._trouble = f"the broker refused a publish: {event.refusal}"
        if isinstance(what, SmallMessage):
            self._outbox.settled(what, taken=not event.refusal)
        elif isinstance(what, FiringMessage):
            return  # Only the region's own word ends the telling
        elif event.refusal:
            self._lane.schedule.postpone(what.clip_id, now_ns, self._random())
        else:
            self._lane.schedule.taken(what, now_ns)
            self._keep_sent(self._lane)
            if isinstance(what, SendFin):
                size, region_id = what.message.size, self._region_id()
                self._events.emit("sent", clip=what.clip_id, region=region_id, bytes=size)

    def _on_inbound(self, message: Message, now_ns: int) -> None:
        if self._lane is None:
            return
        address = self._lane.topics.parse_down(message.topic)
        if address is None:
            if not self._lane.heard_result(message, now_ns, self._random()):
                self._on_message(self._lane.route, message)
            return
        decision = self._lane.schedule.heard(address, message.payload, now_ns, self._random())
        if decision is not None:
            self._conclude(self._lane, decision)

    def _conclude(self, lane: Lane, decision: Decision) -> None:
        """The region has spoken."""
        if isinstance(decision, Delivered):
            row = lane.schedule.row(decision.receipt.clip_id)
            with self._consent.steady() as consented:
                if not self._is_stale(consented):
                    ended = self._endings.deliver(lane.files, row, decision.envelope)
                    self._ended(lane, row.clip_id, ended=ended)
        else:
            refusal = decision.refusal
            detail = f"{refusal.reason}: {refusal.detail}"
            self._drop(lane, refusal.clip_id, DropReason.REFUSED_BY_REGION, detail)

    def _drop(self, lane: Lane, clip_id: str, reason: DropReason, detail: str) -> None:
        with self._consent.steady() as consented:
            if self._is_stale(consented):
                lane.schedule.postpone(clip_id, self._clock.monotonic_ns(), self._random())
                return
            ended = self._endings.drop(lane.files, lane.schedule.row(clip_id), reason, detail)
            self._ended(lane, clip_id, ended=ended)

    def _ended(self, lane: Lane, clip_id: str, *, ended: bool) -> None:
        """Forget a finished clip; keep one whose end could not be recorded, and learn its state again."""
        if ended:
            lane.schedule.done(clip_id)
            self._recorded.discard(clip_id)
        else:
            lane.schedule.postpone(clip_id, self._clock.monotonic_ns(), self._random())
        self._trouble = self._endings.trouble or self._trouble
        self._stale = self._stale or not ended or not len(lane.schedule)

    def _region_id(self) -> str:
        return self._lane.topics.region if self._lane is not None else ""

    def _counts(self) -> UplinkCounts:
        """Of this route and of those before it."""
        return self._past + self._lane.schedule.counts if self._lane is not None else self._past

    def _picture(self) -> DeliveryStats:
        counts = self._counts()
        return DeliveryStats(
            region_id=self._region_id(),
            connected=self._link.connected,
            waiting_clips=len(self._lane.schedule) if self._lane is not None else 0,
            in_flight=self._link.in_flight,
            sent=self._link.sent,
            acknowledged=self._link.acknowledged,
            connections=self._link.connections,
            connection_failures=self._link.failures,
            brokers_refused=self._link.refused,
            publishes_refused=self._publishes_refused,
            delivered_clips=self._endings.delivered_clips,
            delivered_bytes=self._endings.delivered_bytes,
            refused_clips=self._endings.dropped_clips.get(DropReason.REFUSED_BY_REGION, 0),
            damaged_clips=self._endings.dropped_clips.get(DropReason.SPOOL_DAMAGED, 0),
            bad_receipts=counts.bad_receipts,
            bad_answers=counts.bad_answers,
            stale_answers=counts.stale_answers,
            unknown_clips=counts.unknown_clips,
            answer_timeouts=counts.timeouts,
            outbox_dropped=self._outbox.dropped,
            trouble=self._trouble or self._gate.trouble,
            waits=self._passage.waits,
        )
