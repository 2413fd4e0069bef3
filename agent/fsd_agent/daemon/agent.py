"""One running agent: five loops, their threads, and how it ends.

    sense     the caller's thread, at normal priority
    finish    redaction, sealing, and erasing what was withdrawn, what is over and what a left region wants erased, nice 10: must never take time from the driving stack or from sensing
    deliver   the connection to the region
    tell      the status, to the region and to a file on the vehicle
    upkeep    room on the disk, and damage to what waits there, nice 19: only looks and decides

A loop that fails ends the agent with :attr:`Ended.LOOP_FAILED`: everything is on disk, and a restart recovers.

A loop that does not end in time - encoding a long clip can take minutes - is left behind, :attr:`Agent.left_behind`
says so, and the caller must end the process: journal and data folder stay the process' own until then, and what the
loop had not finished is made up for at the next start, as after a power cut.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum, auto

from fsd_agent.pipeline.control import Control
from fsd_agent.pipeline.deliver import Deliverer
from fsd_agent.pipeline.finish import Finisher
from fsd_agent.pipeline.left import LeftClips
from fsd_agent.pipeline.retention import Retention
from fsd_agent.pipeline.sense import Sense
from fsd_agent.pipeline.tell import Teller
from fsd_agent.pipeline.tell_locally import LocalTeller
from fsd_agent.pipeline.upkeep import Upkeep
from fsd_agent.pipeline.valuing import Valuing
from fsd_agent.pipeline.whereabouts import Whereabouts
from fsd_agent.pipeline.withdrawn import WithdrawnClips
from fsd_agent.ports.events import EventSink
from fsd_agent.ports.journal import Journal, JournalError
from fsd_agent.ports.ledger import Ledger, LedgerError
from fsd_agent.records.clip import ClipState
from fsd_agent.records.region import Hold, Route
from fsd_agent.wire.status import encode_status
from fsd_agent.wire.transfer import Topics
from fsd_firmware.contract import Firmware, FirmwareError

_log = logging.getLogger(__name__)

IDLE_S = 0.1
"""Pause of the finishing loop when there is nothing to finish, and of upkeep between two looks."""
FINISH_NICE = 10
UPKEEP_NICE = 19
PROGRESS_EVERY_S = 0.5
LAST_WORD_S = 1.0
"""The last status may take this long to reach the broker."""
JOIN_S = 5.0
"""All loops together get this long to end: well within what supervisors grant after SIGTERM."""


class Ended(Enum):
    """Why the agent ended."""

    DONE = auto()
    """The source ended and everything was delivered or dropped with a reason."""
    STOPPED = auto()
    SOURCE_FAILED = auto()
    UNDELIVERED = auto()
    NO_CAMPAIGNS = auto()
    LOOP_FAILED = auto()


@dataclass(frozen=True, slots=True)
class RunOptions:
    """How benches and replays run an agent; a vehicle uses the defaults."""

    wait_for_campaigns_s: float = 0.0
    drain_s: float = 60.0
    join_s: float = JOIN_S


class Agent:
    """See the module. Built by :func:`fsd_agent.daemon.build.build_agent`."""

    def __init__(
        self,
        *,
        firmware: Firmware,
        sense: Sense,
        finisher: Finisher,
        valuing: Valuing,
        withdrawn: WithdrawnClips,
        left: LeftClips,
        retention: Retention,
        upkeep: Upkeep,
        deliverer: Deliverer,
        control: Control,
        residence: Whereabouts,
        teller: Teller,
        local: LocalTeller,
        journal: Journal,
        ledger: Ledger,
        events: EventSink,
        status_every_s: float,
        release: Callable[[], None],
    ) -> None:
        """``release`` is called last: it lets another agent have the data folder."""
        self._firmware = firmware
        self._sense = sense
        self._finisher = finisher
        self._valuing = valuing
        self._withdrawn = withdrawn
        self._left = left
        self._retention = retention
        self._upkeep = upkeep
        self._deliverer = deliverer
        self._control = control
        self._residence = residence
        self._teller = teller
        self._local = local
        self._journal = journal
        self._ledger = ledger
        self._events = events
        self._status_every_s = status_every_s
        self._release = release
        self._stopping = threading.Event()
        self._failed = threading.Event()
        self.left_behind: tuple[str, ...] = ()
        """Loops that did not end; not empty means that the process must end now, whatever they do."""

    def run(self, stop: threading.Event, options: RunOptions) -> Ended:
        """Run until the source ends or ``stop`` is set; everything is closed then, but see the module."""
        threads = [
            threading.Thread(target=self._guard, args=(loop,), name=name, daemon=True)
            for name, loop in (
                ("deliver", self._deliver),
                ("finish", self._finish),
                ("tell", self._tell),
                ("upkeep", self._keep_up),
            )
        ]
        for thread in threads:
            thread.start()
        ended = Ended.LOOP_FAILED
        try:
            ended = self._run(stop, options)
        finally:
            self._end(threads, options.join_s, ended)
        self._events.emit("ended", how=ended.name.lower())
        return ended

    def _end(self, threads: Sequence[threading.Thread], join_s: float, ended: Ended) -> None:
        self._stopping.set()
        self._finisher.stop()
        self._deliverer.notify()
        deadline = time.monotonic() + join_s
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        self.left_behind = tuple(thread.name for thread in threads if thread.is_alive())
        self._local.tell(ended.name.lower())
        self._firmware.close()
        if self.left_behind:
            _log.warning("still busy after %.0f s: %s", join_s, ", ".join(self.left_behind))
            return
        try:
            self._ledger.close()
        except LedgerError as error:  # What is durable is; the next start goes on from that
            _log.error("the ledger could not be closed: %s", error)
            self._events.emit("ledger_failed", clip="", what=str(error))
        self._journal.close()
        self._release()

    def _run(self, stop: threading.Event, options: RunOptions) -> Ended:
        if not self._campaigns_arrived(stop, options.wait_for_campaigns_s):
            return Ended.NO_CAMPAIGNS
        source_failed = False
        try:
            self._sense_all(stop)
        except FirmwareError as error:
            source_failed = True
            self._events.emit("source_failed", what=str(error))
            _log.error("the firmware source failed: %s", error)
        except Exception as error:  # noqa: BLE001 - the last frame of this loop: told, and the agent ends
            _log.exception("the sense loop failed")
            self._events.emit("loop_failed", loop="sense", what=str(error))
            self._failed.set()
        if self._failed.is_set():
            return Ended.LOOP_FAILED
        if stop.is_set():
            return Ended.STOPPED
        left = self._drain(stop, options.drain_s)
        self._last_word()
        if self._failed.is_set():
            return Ended.LOOP_FAILED
        if source_failed:
            return Ended.SOURCE_FAILED
        return Ended.UNDELIVERED if left else Ended.DONE

    def _campaigns_arrived(self, stop: threading.Event, wait_s: float) -> bool:
        deadline = time.monotonic() + wait_s
        while wait_s and not self._ending(stop):
            where = self._residence.current
            if isinstance(where, Route) and self._control.in_force(where.policy.region_id) is not None:
                return True
            if time.monotonic() > deadline:
                _log.error("no campaign set within %.0f s", wait_s)
                return False
            time.sleep(0.02)
        return True

    def _sense_all(self, stop: threading.Event) -> None:
        told = 0.0
        more = True
        while more and not self._ending(stop):
            more = self._sense.step()
            now = time.monotonic()
            if not more or now - told >= PROGRESS_EVERY_S:
                told = now
                self._events.emit("progress", sensed_s=round(self._sense.sensed_ns / 1e9, 3))
        if more:
            self._sense.stop()

    def _drain(self, stop: threading.Event, drain_s: float) -> int:
        """Wait until nothing is left to do; returns the number of clips that are left."""
        deadline = time.monotonic() + drain_s
        while left := sum(level.clips for level in self._journal.levels()):
            if self._ending(stop) or time.monotonic() > deadline or isinstance(self._residence.current, Hold):
                self._events.emit("undelivered", clips=left)
                return left
            time.sleep(0.05)
        return 0

    def _last_word(self) -> None:
        """Leave a status that says how it ended, if the region can be told."""
        self._publish_status()
        deadline = time.monotonic() + LAST_WORD_S
        while not self._deliverer.flushed() and time.monotonic() < deadline:
            time.sleep(0.01)

    def _finish(self) -> None:
        # On Linux the nice value is a thread's own, and threads that it starts (codecs) inherit it.
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), FINISH_NICE)
        while not self._stopping.is_set():
            self._withdrawn.step()
            self._left.step()
            self._retention.step(ClipState.CAPTURED)
            self._upkeep.step(ClipState.CAPTURED)
            if self._valuing.step():
                continue  # All that wait are valued before one of them is finished: the best goes first
            if self._finisher.step():
                self._deliverer.notify()
            else:
                self._stopping.wait(IDLE_S)

    def _keep_up(self) -> None:
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), UPKEEP_NICE)
        while not self._stopping.wait(IDLE_S):
            self._upkeep.look()

    def _deliver(self) -> None:
        self._deliverer.run(self._stopping)

    def _tell(self) -> None:
        self._local.tell()
        while not self._stopping.wait(self._status_every_s):
            self._local.tell()
            self._publish_status()

    def _publish_status(self) -> None:
        where = self._residence.current
        if isinstance(where, Route):
            topics = Topics(where.policy.region_id, where.registration.vehicle)
            try:
                status = self._teller.status(where)
            except JournalError as error:
                _log.warning("no status this time: %s", error)
            else:
                self._deliverer.post(topics.status, encode_status(status), retain=True)

    def _guard(self, loop: Callable[[], None]) -> None:
        try:
            loop()
        except Exception:  # noqa: BLE001 - the last frame of a thread: told, and the agent ends
            _log.exception("the %s loop failed", threading.current_thread().name)
            self._events.emit("loop_failed", loop=threading.current_thread().name)
            self._failed.set()

    def _ending(self, stop: threading.Event) -> bool:
        return stop.is_set() or self._failed.is_set()
