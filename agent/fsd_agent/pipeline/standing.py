"""What the parts of the delivering loop tell each other: :mod:`.deliver`, :mod:`.publish`, :mod:`.hear` and :mod:`.endings`.

Threads: the delivering one, but for ``stale``.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from fsd_agent.records.consent import Consented


@dataclass(slots=True)
class Standing:
    """See the module."""

    trouble: str = ""
    """The newest; empty where there was none since the route was taken."""
    stale: bool = True
    """The journal is to be asked for clips again. Any thread may say so; it is taken back before the journal is asked."""
    withdrawals: int = 0
    """As of when the clips that are known here were looked up."""
    recorded: set[str] = field(default_factory=set)
    """Clips whose sending over the connection that is up is in the ledger."""

    def outdated(self, consented: Consented) -> bool:
        """Whether clips that are known here may be gone; then nothing is done about any before they are looked up anew."""
        changed = consented.withdrawals != self.withdrawals
        if changed:
            self.stale = True
        return changed
