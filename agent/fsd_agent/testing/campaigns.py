"""A campaign with nothing but what a test says of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from fsd_agent.records.campaign import Budget, Campaign, CaptureSpec
from fsd_agent.records.program import Program
from fsd_agent.records.purpose import Purpose


def plain_campaign(program: Program, name: str = "c", source: str = "test", **changes: Any) -> Campaign:
    """It is always valid, has no gate and no budget, and asks for a clip of two nanoseconds."""
    plain = Campaign(
        id=name,
        version=1,
        purpose=Purpose.SAFETY,
        description="test",
        region_id="cn",
        source=source,
        program=program,
        hold_ns=0,
        cooldown_ns=0,
        capture=CaptureSpec(1, 1, (), ()),
        budget=Budget(None, None),
        sample_ratio=1.0,
        priority=0,
        valid_from_wall_ns=0,
        valid_until_wall_ns=2**62,
    )
    return replace(plain, **changes)
