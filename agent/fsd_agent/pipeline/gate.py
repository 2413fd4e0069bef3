"""What may be given to the connection now: asked by the delivering loop before each message.

It brings together what firmware says (link and power), what was spent (the journal), what owner and region allow, and how
fast bytes may go. The rules are ``rules.uplink.links``, ``budget`` and ``rate``.

Small messages (the status) have an allowance of their own on metered links, :data:`SMALL`, and none of the budget: that a
budget is used up can still be told. A newer one takes the place of one that waits.

Threads: ``admits`` and ``trouble`` are for any; the rest is the delivering loop's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, Protocol

from fsd_agent.ports.clock import Clock
from fsd_agent.ports.journal import JournalError, StateStore
from fsd_agent.records.byte_limits import ByteLimits, smaller
from fsd_agent.records.link_rule import EVERYTHING, Admits, LinkRule
from fsd_agent.records.reasons import Waits
from fsd_agent.rules.uplink.budget import Meter, charged
from fsd_agent.rules.uplink.links import Way, admits, waits
from fsd_agent.rules.uplink.rate import Rate, busy_until
from fsd_agent.wire.spent import SpentError, decode_spent, encode_spent
from fsd_firmware.surroundings import UNKNOWN_LINK, LinkKind, LinkState, Surroundings

STATE_KEY = "spent-metered"
SMALL: Final = Rate(bytes_per_s=24, burst_ns=3600 * 1_000_000_000)
"""Two megabytes a day, an hour's worth of it at once: a status of 4 KB every three minutes."""


class Gate(Protocol):
    """What the delivering loop asks."""

    @property
    def link(self) -> LinkState:
        """As of the newest look."""
        ...

    @property
    def trouble(self) -> str:
        """Why less may go than could; empty where there is no fault."""
        ...

    def look(self, region: ByteLimits, now_ns: int) -> Admits:
        """Which clips may go now, to a region with these limits. ``now_ns`` is monotonic, here and below."""
        ...

    def waits(self, rule: LinkRule) -> Waits | None:
        """Why a clip may not go, as of the newest look."""
        ...

    def due_ns(self, *, small: bool) -> int:
        """When the next message may go."""
        ...

    def charge(self, rule: LinkRule, size: int, now_ns: int) -> bool:
        """Before ``size`` bytes of a clip are given: False where the budget does not reach. Raises ``JournalError``."""
        ...

    def charge_small(self, size: int, now_ns: int) -> None:
        """Before ``size`` bytes of a small message are given."""
        ...

    def close(self) -> None:
        """The connection is closed: bytes that were charged and not given are given back."""
        ...


class LinkGate:
    """Implements :class:`Gate`; see the module."""

    def __init__(
        self,
        *,
        surroundings: Callable[[], Surroundings],
        asleep: Callable[[], bool],
        journal: StateStore,
        clock: Clock,
        own: ByteLimits,
        rates: Mapping[LinkKind, Rate],
    ) -> None:
        """``own`` is what the vehicle's owner allows.

        ``rates`` holds the kinds of link that have one. Raises ``JournalError`` where it can't be read what was spent.
        """
        self._surroundings = surroundings
        self._asleep = asleep
        self._journal = journal
        self._clock = clock
        self._own = own
        self._limits = own
        self._rates = rates
        self._busy_ns = self._small_busy_ns = -(10**18)
        self._lost = ""
        self._trouble = ""
        self._meter = self._restore()
        self._way: Way | None = None
        """As of the newest look; None before the first."""

    def _restore(self) -> Meter:
        kept = self._journal.get_state(STATE_KEY)
        if kept is None:
            return Meter(None)
        try:
            return Meter(decode_spent(kept))
        except SpentError as error:
            self._lost = str(error)
            return Meter(None, lost=True)

    @property
    def link(self) -> LinkState:
        """See :class:`Gate`."""
        return self._way.link if self._way is not None else UNKNOWN_LINK

    @property
    def trouble(self) -> str:
        """See :class:`Gate`."""
        return self._trouble or self._lost

    def look(self, region: ByteLimits, now_ns: int) -> Admits:  # noqa: ARG002 - the port's names
        """See :class:`Gate`."""
        self._limits = smaller(self._own, region)
        boot_ns = self._clock.monotonic_ns() + self._clock.suspended_ns()
        self._meter.look(boot_ns=boot_ns, wall_ns=self._clock.wall_ns())
        way = self._way = Way(
            self._surroundings().link,
            self._asleep(),
            self._meter.used_up(self._limits, urgent=False),
            self._meter.used_up(self._limits, urgent=True),
        )
        return admits(way)

    def admits(self) -> Admits:
        """Which clips may go, as of the newest look. Before the first any may turn out to."""
        return EVERYTHING if self._way is None else admits(self._way)

    def waits(self, rule: LinkRule) -> Waits | None:
        """See :class:`Gate`."""
        if self._way is None:
            raise AssertionError("nobody has looked")
        return waits(rule, self._way)

    def due_ns(self, *, small: bool) -> int:
        """See :class:`Gate`."""
        if small:
            return self._small_busy_ns if self.link.metered else 0
        return self._busy_ns if self.link.kind in self._rates else 0

    def charge(self, rule: LinkRule, size: int, now_ns: int) -> bool:
        """See :class:`Gate`."""
        if self.link.metered and not self._take(charged(size), urgent=rule.urgent):
            return False
        rate = self._rates.get(self.link.kind)
        if rate is not None:
            self._busy_ns = busy_until(rate, self._busy_ns, size, now_ns)
        return True

    def _take(self, size: int, *, urgent: bool) -> bool:
        if self._meter.take(size):
            return True
        more = self._meter.more(size, self._limits, urgent=urgent)
        if more is None:
            return False
        self._journal.set_state(STATE_KEY, encode_spent(self._meter.on_disk(more)))
        self._meter.keep(more)
        return self._meter.take(size)

    def charge_small(self, size: int, now_ns: int) -> None:
        """See :class:`Gate`."""
        if self.link.metered:
            self._small_busy_ns = busy_until(SMALL, self._small_busy_ns, charged(size), now_ns)

    def close(self) -> None:
        """See :class:`Gate`. Where that can't be kept, they count as used."""
        rest = self._meter.rest()
        if rest is None:
            return
        try:
            self._journal.set_state(STATE_KEY, encode_spent(self._meter.on_disk(rest)))
        except JournalError as error:
            self._trouble = str(error)
        else:
            self._meter.keep(rest)
            self._trouble = ""
