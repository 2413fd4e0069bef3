"""Nothing in the way: for benches on which there is neither firmware, nor a bill, nor a disk that fills.

``OpenGate`` is a gate that lets everything go, ``AlwaysOn`` an ignition that stays on, ``NoReserve`` a disk for which nobody keeps
room. ``KeepsEverything`` selects nothing, and to ``EverythingIsNew`` no clip is like another. They hide what an agent has to
obey, so an agent is given them by name or not at all.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

from fsd_agent.records.byte_limits import ByteLimits
from fsd_agent.records.clip import Clip, ClipRow
from fsd_agent.records.link_rule import EVERYTHING, Admits, LinkRule
from fsd_agent.records.novelty import Judged
from fsd_agent.records.reasons import Waits
from fsd_agent.records.region import DataClass
from fsd_agent.rules.uplink.power import Phase
from fsd_firmware.surroundings import LinkKind, LinkState


class OpenGate:
    """Implements :class:`fsd_agent.pipeline.gate.Gate`: everything may go."""

    link = LinkState(LinkKind.ETHERNET, metered=False, roaming=False)
    trouble = ""

    def look(self, region: ByteLimits, now_ns: int) -> Admits:  # noqa: ARG002 - the port's names
        """See ``Gate``."""
        return EVERYTHING

    def waits(self, rule: LinkRule) -> Waits | None:  # noqa: ARG002 - the port's names
        """See ``Gate``."""
        return None

    def due_ns(self, *, small: bool) -> int:  # noqa: ARG002 - the port's names
        """See ``Gate``."""
        return 0

    def charge(self, rule: LinkRule, size: int, now_ns: int) -> bool:  # noqa: ARG002 - the port's names
        """See ``Gate``."""
        return True

    def charge_small(self, size: int, now_ns: int) -> None:
        """See ``Gate``."""

    def close(self) -> None:
        """See ``Gate``."""


class AlwaysOn:
    """Implements :class:`fsd_agent.pipeline.power.Power`: the ignition stays on."""

    phase = Phase.ON

    def rest(self, loop: object) -> None:
        """See ``Power``; nobody is asked to."""


class NoReserve:
    """Implements :class:`fsd_agent.pipeline.no_room.KeepsRoom`: nobody keeps any."""

    def make(self) -> bool:
        """None."""
        return False

    def doubt(self) -> None:
        """Nobody asks."""


class KeepsEverything:
    """Implements :class:`fsd_agent.pipeline.select.Selects`: every clip is worth its redaction."""

    def judge(self, clip: Clip, stopped: Callable[[], bool]) -> None:
        """See ``Selects``."""


class KeepsWhole:
    """Implements :class:`fsd_agent.pipeline.keep.Keeps`: nothing is cut."""

    def kept(self, clip: Clip) -> Clip:
        """See ``Keeps``."""
        return clip


class EverythingIsNew:
    """Implements :class:`fsd_agent.pipeline.novelty.JudgesNovelty`: nothing is remembered."""

    def judge(self, clip: Clip, allowed: Collection[DataClass]) -> Judged:  # noqa: ARG002 - the port's names
        """See ``JudgesNovelty``."""
        return Judged()

    def sealed(self, row: ClipRow, judged: Judged) -> None:
        """See ``JudgesNovelty``."""
