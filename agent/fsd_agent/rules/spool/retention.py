"""How long a clip may wait on the vehicle: no longer than its region would keep it.

The rule. A clip is over when its region's ``retention_days`` have passed since its firing, as far as time is proved: by
the signature of a policy, or by a clock that went on for five minutes without going back (``rules.trust.registration``).
What is over is erased, delivered or not. Privacy says erase, loss says keep; between them stands what is proved: a
clock that was set ahead a moment ago erases nothing, and once it is believed it counts as time that has passed, because
nobody can tell the two apart.

When it fired. What firmware stamps on samples does not count: a recorded drive is as old as its recording. A clip is
noted by the agent's own clock when it is first seen, minutes after its firing at most. That clock may be wrong just
then, and both ways are mended on the closed side of what is known:

- It was behind. Nothing is older than the time that has gone by, on a clock that nobody sets, since this run of the
  agent saw it first; so its firing is moved up to that.
- It was ahead. Nothing fired later than now; so its firing is moved down to now.
"""

from __future__ import annotations

from fsd_agent.wire.moments import DAY_NS


def held_since(noted_ns: int | None, *, elapsed_ns: int | None, proved_ns: int, clock_ns: int) -> int:
    """When a clip fired, by all that is known now; Unix time. Keep it, and give it as ``noted_ns`` the next time.

    ``noted_ns`` is None for a clip that is seen for the first time; ``elapsed_ns`` is monotonic time since this run saw
    it first, None where an earlier run did. ``proved_ns`` is the newest time that is proved, ``clock_ns`` the wall clock.
    """
    latest_ns = max(clock_ns, proved_ns)
    if noted_ns is None:
        return latest_ns
    at_least_ns = proved_ns - elapsed_ns if elapsed_ns is not None else noted_ns
    return min(max(noted_ns, at_least_ns), latest_ns)


def is_late(since_ns: int, *, proved_ns: int, deadline_ns: int | None) -> bool:
    """Whether a clip that fired then has passed the deadline of its campaigns; by the same time as retention, and as final."""
    return deadline_ns is not None and proved_ns - since_ns >= deadline_ns


def is_over(since_ns: int, *, proved_ns: int, retention_days: int) -> bool:
    """Whether a clip that fired then may not be kept any longer."""
    return proved_ns - since_ns >= retention_days * DAY_NS
