"""When in the local week a campaign's firings count.

Local time is Unix time plus the offset in force; the week starts on Monday at 00:00 local time. When clocks go back
an hour of the week happens twice and counts twice; when they go forward it does not happen.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import Final

from fsd_agent.records.campaign import SECOND_NS
from fsd_agent.records.schedule import WEEK_NS, Schedule

DAY_NS: Final = 86_400 * SECOND_NS
_SINCE_MONDAY_NS: Final = 3 * DAY_NS
"""1970-01-01 was a Thursday."""


def within(schedule: Schedule, wall_ns: int) -> bool:
    """Whether a firing at this Unix time counts. Before the first offset, the first is taken."""
    at = bisect_right(schedule.offsets, wall_ns, key=lambda offset: offset.from_wall_ns)
    local_ns = wall_ns + schedule.offsets[max(at - 1, 0)].offset_s * SECOND_NS
    of_week_ns = (local_ns + _SINCE_MONDAY_NS) % WEEK_NS
    return any(span.from_ns <= of_week_ns < span.until_ns for span in schedule.spans)
