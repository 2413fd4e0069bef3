"""Hear: what broker and region say about what was published, and what becomes of it.

    the broker took a message      the schedule knows; of the last one of a clip it is told as ``sent``. It is no delivery
    the broker refused one         its clip waits; it is the status' trouble, and one of its faults
    the region answers about a     the schedule judges the answer; a verified receipt, and a verified refusal, end the clip
    clip                           (:mod:`.endings`)
    the broker took a firing       nothing yet: only the region's own word ends the telling (:mod:`.firings`)
    anything else                  is whoever's who made us: campaigns, and what is known of the ledger

Threads: the delivering one.
"""

from __future__ import annotations

from collections.abc import Callable

from fsd_agent.pipeline.endings import RouteEndings
from fsd_agent.pipeline.firings import FiringMessage
from fsd_agent.pipeline.lane import Lane
from fsd_agent.pipeline.link import Link
from fsd_agent.pipeline.outbox import Outbox, SmallMessage
from fsd_agent.pipeline.standing import Standing
from fsd_agent.ports.broker import Acked, Message
from fsd_agent.ports.events import EventSink
from fsd_agent.ports.journal import JournalError
from fsd_agent.records.reasons import DropReason
from fsd_agent.records.region import Route
from fsd_agent.rules.uplink.schedule import Decision, Delivered
from fsd_agent.rules.uplink.transfer import Emission, SendFin, SendSegment


class Hearing:
    """See the module."""

    def __init__(
        self,
        *,
        link: Link[Emission | SmallMessage | FiringMessage],
        outbox: Outbox,
        endings: RouteEndings,
        standing: Standing,
        events: EventSink,
        on_message: Callable[[Route, Message], None],
        random: Callable[[], float],
    ) -> None:
        self.publishes_refused = 0
        self._link = link
        self._outbox = outbox
        self._endings = endings
        self._standing = standing
        self._events = events
        self._on_message = on_message
        self._random = random

    def acked(self, lane: Lane | None, event: Acked, now_ns: int) -> None:
        """The broker has taken a message, or will not."""
        what = self._link.on_acked(event, now_ns)
        if what is None or lane is None:
            return
        if event.refusal:
            self.publishes_refused += 1
            self._standing.trouble = f"the broker refused a publish: {event.refusal}"
            # Brokers may hang up after it, and then that is the trouble: this stays among the status' faults.
            self._events.emit("publish_refused", region=lane.topics.region, reason=event.refusal)
        if isinstance(what, SendSegment) and not event.refusal:  # As nearly all are
            lane.schedule.taken(what, now_ns)
            self.keep_sent(lane)
        elif isinstance(what, SmallMessage):
            self._outbox.settled(what, taken=not event.refusal)
        elif isinstance(what, FiringMessage):
            return  # Only the region's own word ends the telling
        elif event.refusal:
            lane.schedule.postpone(what.clip_id, now_ns, self._random())
        else:
            lane.schedule.taken(what, now_ns)
            self.keep_sent(lane)
            if isinstance(what, SendFin):
                self._events.emit(
                    "sent", clip=what.clip_id, region=lane.topics.region, bytes=what.message.size
                )

    def keep_sent(self, lane: Lane, *, at_once: bool = False) -> None:
        """What is not written costs those segments again after a restart, and nothing else."""
        try:
            lane.keep_sent(at_once=at_once)
        except JournalError as error:
            self._standing.trouble = f"journal: {error}"

    def inbound(self, lane: Lane, message: Message, now_ns: int) -> None:
        """Something arrived over the route's connection."""
        address = lane.topics.parse_down(message.topic)
        if address is None:
            if not lane.heard_result(message, now_ns, self._random()):
                self._on_message(lane.route, message)
            return
        decision = lane.schedule.heard(address, message.payload, now_ns, self._random())
        if decision is not None:
            self._conclude(lane, decision)

    def _conclude(self, lane: Lane, decision: Decision) -> None:
        """The region has spoken."""
        if isinstance(decision, Delivered):
            self._endings.deliver(lane, decision.receipt.clip_id, decision.envelope)
        else:
            refusal = decision.refusal
            detail = f"{refusal.reason}: {refusal.detail}"
            self._endings.drop(lane, refusal.clip_id, DropReason.REFUSED_BY_REGION, detail)
