"""What people and machines that watch the agent are told, as it happens."""

from __future__ import annotations

from typing import Literal, Protocol

EventName = Literal[
    "route", "hold", "policy", "policy_refused", "consent",
    "campaigns", "campaigns_refused",
    "fired", "captured", "sealed", "dropped", "postponed", "video_work",
    "connected", "disconnected", "refused", "publish_refused", "sent", "delivered",
    "disk_full", "disk_failed", "headroom", "damaged", "journal_failed", "detector_failed",
    "ledger_repaired", "ledger_failed", "keys_failed",
    "certificate_expiring", "certificate_expired",
    "link", "power",
    "source_failed", "progress", "undelivered", "ended", "loop_failed",
]  # fmt: skip
"""Every event there is; what each means and holds is in ``docs/architecture.md``, "Events"."""

EventValue = str | int | float | bool | None | list[str] | dict[str, int]


class EventSink(Protocol):
    """Takes one event at a time. Any thread; never blocks for long and never raises."""

    def emit(self, event: EventName, /, **fields: EventValue) -> None:
        """Tell that ``event`` happened."""
        ...
