"""The head that values clips where a campaign states none: a file of the agent itself, made by ``fsd_tools.selection.train``."""

from __future__ import annotations

from importlib.resources import files
from typing import Final

from fsd_agent.records.head import Head
from fsd_agent.rules.selection.value import check_value_head
from fsd_agent.wire.value_head import decode_value_head

NAME: Final = "begins_to_cross-2.head"


def shipped_head() -> Head:
    """Checked to be one of tracks. Raises ``HeadError`` or ``ValueHeadError``: the software is damaged."""
    head = decode_value_head(files("fsd_agent").joinpath("heads", NAME).read_bytes())
    check_value_head(head)
    return head
