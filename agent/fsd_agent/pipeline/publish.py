"""Publish: what the delivering loop gives to the connection, and what it asks before each message.

Small messages go first, as far as their allowance reaches: the status, and the firings that the region is told of by
themselves (:mod:`.firings`), which are given only while there is consent. Then clips, as :mod:`fsd_agent.rules.uplink.schedule` says, until the
window is full, the rate is reached, or there is nothing to say. Segments of one clip that follow each other are given together, as
many as there is room for, where nothing limits the rate. Before messages about a clip it is asked, in this order:

    the ledger has not given the clip up              else that is carried through; asked once a connection
    its file is what was sealed                       else it is dropped; asked before each first question, beside where
                                                      all of it has to be read, and of each part when that is read
    what is known here is not from before a           else it waits until it is looked up anew
    withdrawal of consent
    there is consent to its purpose                   else it waits
    the budget reaches, for each message              else it waits, or all do
    the ledger holds to whom it goes                  else it waits; recorded once a connection

The last four hold at one moment, until the messages are given to the connection: no withdrawal comes between. A file that is damaged,
or can't be read several times, drops its clip; a key or a store that can't be asked makes it wait.

Threads: the delivering one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from fsd_agent.pipeline.book import ClipBook
from fsd_agent.pipeline.consent import Consents
from fsd_agent.pipeline.endings import RouteEndings
from fsd_agent.pipeline.firings import FiringMessage, FiringTeller
from fsd_agent.pipeline.gate import Gate
from fsd_agent.pipeline.lane import Lane
from fsd_agent.pipeline.link import Link
from fsd_agent.pipeline.outbox import Outbox, SmallMessage
from fsd_agent.pipeline.standing import Standing
from fsd_agent.ports.events import EventSink
from fsd_agent.ports.journal import JournalError
from fsd_agent.ports.ledger import LedgerError
from fsd_agent.ports.spool import CompartmentKeyError, SpoolDamagedError, SpoolError
from fsd_agent.records.clip import ClipRow
from fsd_agent.records.link_rule import Admits
from fsd_agent.records.reasons import DropReason
from fsd_agent.rules.uplink.transfer import Emission, SendFin, SendInit


class Publisher:
    """See the module."""

    def __init__(
        self,
        *,
        link: Link[Emission | SmallMessage | FiringMessage],
        outbox: Outbox,
        firings: FiringTeller | None,
        gate: Gate,
        look_again: Callable[[Lane, int], Admits],
        consent: Consents,
        book: ClipBook,
        endings: RouteEndings,
        standing: Standing,
        events: EventSink,
        random: Callable[[], float],
    ) -> None:
        """``look_again`` follows the link, where the budget does not reach for a clip, and says what may go then."""
        self._link = link
        self._outbox = outbox
        self._firings = firings
        self._firings_turn = False
        """Whether a firing goes before the status the next time that one of them may go."""
        self._gate = gate
        self._look_again = look_again
        self._consent = consent
        self._book = book
        self._endings = endings
        self._standing = standing
        self._events = events
        self._random = random

    def fill(self, lane: Lane, now_ns: int) -> None:
        """Publish as much as may go now."""
        while (room := self._link.room) > 0:
            if self._publish_small(lane, now_ns):
                continue
            due_ns = self._gate.due_ns(small=False)
            emission = lane.schedule.next(now_ns, lane.files.unknown) if now_ns >= due_ns else None
            if emission is None:
                return
            more = lane.schedule.more(emission, room - 1) if due_ns == 0 else ()  # No rate holds them up then
            self._try_to_publish(lane, (emission, *more), now_ns)

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

    def _try_to_publish(self, lane: Lane, run: Sequence[Emission], now_ns: int) -> None:
        """Publish what follows each other about one clip, or say what becomes of the clip."""
        clip_id, standing = run[0].clip_id, self._standing
        try:
            if not self._given_up_before(lane, clip_id):
                self._publish(lane, run, now_ns)
        except JournalError as error:  # What it would cost can't be kept
            standing.trouble = f"journal: {error}"
            self._postpone(lane, clip_id, now_ns)
        except LedgerError as error:
            standing.trouble = f"ledger: {error}"
            self._events.emit("ledger_failed", clip=clip_id, what=str(error))
            self._postpone(lane, clip_id, now_ns)
        except SpoolDamagedError as error:
            self._endings.drop(lane, clip_id, DropReason.SPOOL_DAMAGED, str(error))
        except CompartmentKeyError as error:
            # No fault of the clip: it stays, and is tried again however often.
            standing.trouble = f"spool: {error}"
            self._postpone(lane, clip_id, now_ns)
        except SpoolError as error:
            standing.trouble = f"spool: {error}"
            if lane.schedule.unreadable(clip_id, now_ns, self._random()):
                self._endings.drop(lane, clip_id, DropReason.SPOOL_DAMAGED, str(error))

    def _publish(self, lane: Lane, run: Sequence[Emission], now_ns: int) -> None:
        """Give messages about a clip to the connection, if there is consent at that very moment."""
        row = lane.schedule.row(run[0].clip_id)
        if isinstance(run[0], SendInit) or (isinstance(run[0], SendFin) and not lane.files.may_end(row)):
            doubted = lane.schedule.has_failed(row.clip_id)
            if not lane.files.is_sound(row, doubted=doubted):
                lane.schedule.unasked(row.clip_id, now_ns)
                return
        messages = [lane.files.render(emission, row) for emission in run]
        with self._consent.steady() as consented:
            if self._standing.outdated(consented):
                self._postpone(lane, row.clip_id, now_ns)
            elif row.purpose not in consented.given:
                self._standing.trouble = f"no consent to {row.purpose} now"
                self._postpone(lane, row.clip_id, now_ns)
            else:
                self._give(lane, row, run, messages, now_ns)

    def _give(
        self,
        lane: Lane,
        row: ClipRow,
        run: Sequence[Emission],
        messages: Sequence[tuple[str, bytes]],
        now_ns: int,
    ) -> None:
        """As far as the budget reaches; of what is left over nothing is kept, and it is asked for anew."""
        paid = 0
        for topic, payload in messages:
            if not self._gate.charge(row.link, len(topic) + len(payload), now_ns):
                break
            paid += 1
        if paid:
            self._record_sending(lane, row.clip_id)
            self._link.publish_all(run[:paid], messages[:paid], now_ns)
        if paid < len(messages):
            self._used_up(lane, row, now_ns)

    def _used_up(self, lane: Lane, row: ClipRow, now_ns: int) -> None:
        """The budget does not reach for a message of the clip: it waits, and asks anew what is missing when it goes on."""
        if self._look_again(lane, now_ns).admits(row.link):  # It reaches for smaller ones
            self._postpone(lane, row.clip_id, now_ns)

    def _given_up_before(self, lane: Lane, clip_id: str) -> bool:
        """Carry through what the ledger says and the journal could not take; asked once a connection."""
        if clip_id in self._standing.recorded:
            return False
        reason = self._book.given_up_before(lane.schedule.row(clip_id))
        if reason is not None:
            self._endings.drop(lane, clip_id, reason, "recorded in the ledger before")
        return reason is not None

    def _record_sending(self, lane: Lane, clip_id: str) -> None:
        if self._link.peer is None:
            raise AssertionError("nobody is connected")
        if clip_id not in self._standing.recorded:
            self._book.sending(lane.schedule.row(clip_id), self._link.peer)
            self._standing.recorded.add(clip_id)

    def _postpone(self, lane: Lane, clip_id: str, now_ns: int) -> None:
        lane.schedule.postpone(clip_id, now_ns, self._random())
