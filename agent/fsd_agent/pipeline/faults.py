"""What went wrong lately: an event sink that passes everything on and remembers the newest faults.

One that comes again and again, as a connection that fails in a tunnel does, is one fault that is counted. On the vehicle
all are told. A region is told of its own alone: of a connection to it, and of its own clips. What concerns no clip and
no region is told to whoever the vehicle belongs to, but its text only where it can't name another region's files; so a clip
that nobody knows, and every fault that is not in the table, is not told.

Threads: any.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from fsd_agent.ports.clock import Clock
from fsd_agent.ports.events import EventName, EventSink, EventValue
from fsd_agent.records.status import Fault

FAULTS_MAX = 8
TEXT_MAX = 200
"""Characters of one fault."""

_TEXT_OF: Mapping[str, str] = MappingProxyType(
    {
        "disk_full": "what",
        "disk_failed": "what",
        "journal_failed": "what",
        "ledger_failed": "what",
        "ledger_repaired": "what",
        "keys_failed": "what",
        "detector_failed": "what",
        "source_failed": "what",
        "loop_failed": "loop",
        "postponed": "detail",
        "refused": "reason",
        "publish_refused": "reason",
        "disconnected": "reason",
        "campaigns_refused": "reason",
        "policy_refused": "reason",
        "certificate_expired": "what",
    }
)
"""Events that are faults, and which of their fields says what it was."""
_NAMES_NO_FILE = frozenset({"detector_failed", "source_failed", "loop_failed"})
"""Whose text is about the vehicle alone."""


@dataclass(frozen=True, slots=True)
class _Seen:
    fault: Fault
    region_id: str
    clip_id: str

    def is_again(self, other: _Seen) -> bool:
        """Whether the same has happened once more."""
        return replace(self, fault=other.fault) == other and (
            (self.fault.where, self.fault.what) == (other.fault.where, other.fault.what)
        )


class FaultLog:
    """Implements :class:`fsd_agent.ports.events.EventSink`; see the module."""

    def __init__(self, events: EventSink, clock: Clock) -> None:
        self._events = events
        self._clock = clock
        self._lock = threading.Lock()
        self._seen: list[_Seen] = []

    def emit(self, event: EventName, /, **fields: EventValue) -> None:
        """See the port."""
        if event in _TEXT_OF:
            what = str(fields.get(_TEXT_OF[event]) or "")[:TEXT_MAX]
            fault = Fault(self._clock.wall_ns(), event, what)
            self._remember(_Seen(fault, str(fields.get("region") or ""), str(fields.get("clip") or "")))
        self._events.emit(event, **fields)

    def all(self) -> tuple[Fault, ...]:
        """Every one, the newest last: for the vehicle itself."""
        with self._lock:
            return tuple(one.fault for one in self._seen)

    def of_region(self, region_id: str, region_of: Callable[[str], str | None]) -> tuple[Fault, ...]:
        """Those that this region may be told of, the newest last; ``region_of`` gives a clip's region.

        Raises what ``region_of`` raises.
        """
        with self._lock:
            seen = tuple(self._seen)
        told: list[Fault] = []
        for one in seen:
            if one.clip_id or one.region_id:
                whose = one.region_id or region_of(one.clip_id)
                if whose == region_id:
                    told.append(one.fault)
            else:
                told.append(one.fault if one.fault.where in _NAMES_NO_FILE else replace(one.fault, what=""))
        return tuple(told)

    def _remember(self, new: _Seen) -> None:
        with self._lock:
            before = next((one for one in self._seen if one.is_again(new)), None)
            if before is not None:
                self._seen.remove(before)
                new = replace(new, fault=replace(new.fault, times=before.fault.times + 1))
            self._seen.append(new)
            del self._seen[:-FAULTS_MAX]
