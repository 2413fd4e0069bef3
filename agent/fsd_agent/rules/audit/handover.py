"""Whether a segment may go, because the next one's checkpoint says all that it says.

What is removed is gone for good, and the checkpoint behind it is what every later audit begins from: counts, consent, and which
clips the vehicle holds. So a segment is done with when the checkpoint that follows is, member by member and clip by clip, what the
segment's own checkpoint and its records make. A signature alone does not show that: the device signs whatever its memory had.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import zip_longest

from fsd_agent.records.ledger import Checkpoint, LiveClip
from fsd_agent.rules.audit.restore import DamagedError, restore
from fsd_agent.wire.ledger import LedgerFormatError
from fsd_agent.wire.ledger_file import Segment


def hands_over(
    segment: Segment, live: Iterable[LiveClip], following: Checkpoint, its_live: Iterable[LiveClip]
) -> bool:
    """Whether ``following``, of the next segment, is what ``segment`` comes to.

    ``live`` and ``its_live``: the clips of both checkpoints, which have them not; both in order, and read once. What is damaged
    comes to nothing.
    """
    try:
        restored = restore(segment, live)
        if restored.end is not None:
            return False
        head = following.head
        made = restored.state.summary(wall_ns=head.wall_ns, device_key_id=head.device_key_id)
        return made == following and all(
            mine == its for mine, its in zip_longest(restored.state.live, its_live)
        )
    except (DamagedError, LedgerFormatError, ValueError):
        return False
