"""Deliver: sealed clips go to the one region of the route, and are erased on its signed receipt.

- Where: one of the current route's endpoints. On hold nothing is connected and nothing is sent. When the route changes,
  the connection is closed first, and everything about the old region is forgotten here (not on disk).
- A connection belongs to the link that it was made over. When firmware names another, it is made anew.
- What is given to it, and what is asked before: :mod:`.publish`. What is heard from it: :mod:`.hear`.
- When a clip may be erased: :mod:`.endings`.

One step follows route and link, publishes what may go, waits, and hears what came.

Threads: one thread calls ``step`` (or ``run``) and ``close``; ``notify``, ``post``, ``flushed``, ``stats`` and ``sending`` are for
any.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Executor

from fsd_agent.pipeline.book import ClipBook
from fsd_agent.pipeline.consent import Consents
from fsd_agent.pipeline.delivery_stats import delivery_stats
from fsd_agent.pipeline.endings import Endings, RouteEndings
from fsd_agent.pipeline.firings import FiringMessage, FiringTeller
from fsd_agent.pipeline.gate import Gate
from fsd_agent.pipeline.hear import Hearing
from fsd_agent.pipeline.lane import Lane
from fsd_agent.pipeline.link import Link, LinkLimits
from fsd_agent.pipeline.outbox import Outbox, SmallMessage
from fsd_agent.pipeline.passage import Passage
from fsd_agent.pipeline.power import Loop, Power
from fsd_agent.pipeline.publish import Publisher
from fsd_agent.pipeline.soundness import AtOnce
from fsd_agent.pipeline.standing import Standing
from fsd_agent.ports.broker import Acked, Broker, BrokerEvent, Connected, Disconnected, Message
from fsd_agent.ports.clock import Clock
from fsd_agent.ports.events import EventName, EventSink
from fsd_agent.ports.journal import Journal, JournalError
from fsd_agent.ports.ledger import Ledger
from fsd_agent.ports.spool import SpoolStore
from fsd_agent.records.delivery import DeliveryStats
from fsd_agent.records.link_rule import Admits
from fsd_agent.records.region import Hold, Route
from fsd_agent.rules.uplink.counts import UplinkCounts
from fsd_agent.rules.uplink.power import Phase
from fsd_agent.rules.uplink.transfer import Emission, UplinkLimits

REFRESH_NS = 5_000_000_000
"""The journal is asked again at least this often, for clips that nobody notified us of."""
EXCHANGE_NS = 5_000_000
"""On a fast link the window is filled and acknowledged many times in it, and what a step asks beside that costs as much each time."""
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
        gate: Gate,
        power: Power,
        beside: Executor | None = None,
        firings: FiringTeller | None = None,
    ) -> None:
        """``on_message`` gets what is not about a clip (campaigns), with the route it came over, on our thread.

        ``random`` gives numbers uniform in [0, 1), for jitter and for the first question's number. ``overdue`` gives up
        sealed clips that may not be kept any longer, whatever their region, and names them; on our thread, at each step.
        Where ``power`` says asleep, nobody is connected.
        ``beside`` hashes whole files while others are sent; without it that is done on our thread. Without ``firings`` no
        region is told of any by itself.
        """
        self._journal = journal
        self._spool = spool
        self._clock = clock
        self._events = events
        self._consent = consent
        self._route_source = route_source
        self._random = random
        self._limits = limits
        self._overdue = overdue
        self._gate = gate
        self._power = power
        self._passage = Passage(gate)
        self._beside = beside or AtOnce()
        self._firings = firings
        self._link: Link[Emission | SmallMessage | FiringMessage] = Link(broker, link_limits, random)
        self._outbox = Outbox()
        self._lane: Lane | None = None
        self._standing = standing = Standing()
        self._refresh_at_ns = 0
        self._past = UplinkCounts()
        book = ClipBook(ledger)
        self._endings = Endings(journal, book, spool, events)
        self._route_endings = RouteEndings(
            self._endings, consent=consent, standing=standing, clock=clock, random=random
        )
        self._publisher = self._publishing(book, firings)
        self._hearing = self._listening(on_message)
        self._stats = self._picture()
        self._sending: frozenset[str] = frozenset()

    def _publishing(self, book: ClipBook, firings: FiringTeller | None) -> Publisher:
        """Who gives messages to the connection."""
        return Publisher(
            link=self._link,
            outbox=self._outbox,
            firings=firings,
            gate=self._gate,
            look_again=self._follow_link,
            consent=self._consent,
            book=book,
            endings=self._route_endings,
            standing=self._standing,
            events=self._events,
            random=self._random,
        )

    def _listening(self, on_message: Callable[[Route, Message], None]) -> Hearing:
        """Who takes what comes over the connection."""
        return Hearing(
            link=self._link,
            outbox=self._outbox,
            endings=self._route_endings,
            standing=self._standing,
            events=self._events,
            on_message=on_message,
            random=self._random,
        )

    def notify(self) -> None:
        """A clip was sealed, or the route may have changed: look now."""
        self._standing.stale = True
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
                self._route_endings.ended(self._lane, clip_id, ended=True)
        if self._lane is not None:
            lane = self._lane
            self._follow_link(lane, now_ns)
            slept_ns = self._clock.suspended_ns()
            dead = self._link.keep(lane.route, lane.subscriptions, now_ns, slept_ns)
            if dead is not None:
                self._on_event(dead, now_ns)
            self._refresh(lane, now_ns)
        self._exchange(timeout_s, now_ns)
        if self._lane is not None and self._lane.schedule.expire(self._clock.monotonic_ns(), self._random()):
            self._standing.trouble = _NO_ANSWER
        self._sending = self._lane.schedule.sending if self._lane is not None else frozenset()
        self._stats = self._picture()

    def _exchange(self, timeout_s: float, now_ns: int) -> None:
        """Fill the window and hear what comes back; again, for :data:`EXCHANGE_NS`, as long as the broker just takes what it is given."""
        until_ns = now_ns + EXCHANGE_NS
        while True:
            wait_s = timeout_s
            if self._lane is not None:
                self._publisher.fill(self._lane, now_ns)
                wait_s = min(timeout_s, max(0, self._next_due_ns(self._lane, now_ns) - now_ns) / 1e9)
            events = self._link.broker.events(wait_s)
            before_ns, now_ns = now_ns, self._clock.monotonic_ns()
            for event in events:
                self._on_event(event, now_ns)
            taken = bool(events) and all(isinstance(event, Acked) and not event.refusal for event in events)
            if not taken or not before_ns < now_ns < until_ns:
                return

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
        self._standing.trouble = self._endings.trouble = ""  # A region is told nothing of another
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
            self._standing.trouble = self._lane.sent.trouble if self._lane.sent is not None else ""
            self._standing.stale = True

    def _follow_link(self, lane: Lane, now_ns: int) -> Admits:
        """Let only go what may go over the link that there is, and make the connection anew where that is another one."""
        if self._passage.look(lane, now_ns):
            self._standing.stale = True
        if self._passage.is_another_link():
            self._interrupt(now_ns)
            self._link.close()
        return self._passage.admits

    def _refresh(self, lane: Lane, now_ns: int) -> None:
        """Take over the journal's sealed clips, when asked to and now and then."""
        if not self._standing.stale and now_ns < self._refresh_at_ns:
            return
        self._standing.stale = False
        self._refresh_at_ns = now_ns + REFRESH_NS
        try:
            with self._consent.steady() as consented:
                if (
                    consented.withdrawals != self._standing.withdrawals
                ):  # What is known here may be erased by now
                    lane.schedule.update(())
                    lane.files.forget_all()
                    self._standing.withdrawals = consented.withdrawals
                lane.refresh(self._journal, consented.in_force, self._passage.admits)
            self._passage.count(self._journal, lane.topics.region)
        except JournalError as error:
            self._standing.trouble = f"journal: {error}"

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
                self._hearing.acked(self._lane, event, now_ns)
            case Message():
                if self._lane is not None:
                    self._hearing.inbound(self._lane, event, now_ns)
            case Disconnected():
                self._on_disconnected(event, now_ns)
            case Connected():
                self._link.on_connected(event, now_ns)
                self._standing.recorded.clear()
                self._events.emit("connected", region=self._region_id(), mqtt=event.mqtt)

    def _on_disconnected(self, event: Disconnected, now_ns: int) -> None:
        self._interrupt(now_ns)
        self._link.on_disconnected(event, now_ns)
        self._standing.trouble = f"broker: {event.reason}"
        name: EventName = "refused" if event.refused else "disconnected"
        self._events.emit(name, region=self._region_id(), reason=event.reason)

    def _interrupt(self, now_ns: int) -> None:
        """Nothing that was in flight can be counted on."""
        self._outbox.interrupted()
        if self._firings is not None:
            self._firings.interrupted()
        if self._lane is not None:
            self._lane.schedule.disconnected(now_ns)
            self._hearing.keep_sent(self._lane, at_once=True)

    def _region_id(self) -> str:
        return self._lane.topics.region if self._lane is not None else ""

    def _counts(self) -> UplinkCounts:
        """Of this route and of those before it."""
        return self._past + self._lane.schedule.counts if self._lane is not None else self._past

    def _picture(self) -> DeliveryStats:
        return delivery_stats(
            self._lane,
            self._link,
            self._counts(),
            publishes_refused=self._hearing.publishes_refused,
            endings=self._endings,
            outbox_dropped=self._outbox.dropped,
            trouble=self._standing.trouble or self._gate.trouble,
            waits=self._passage.waits,
        )
