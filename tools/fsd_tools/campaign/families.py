"""Where the campaign families lie that ship with the agent."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import fsd_agent

FAMILIES: Final = Path(fsd_agent.__file__).parent / "campaigns"
"""YAML files without a region: templates for the region that they are pushed to."""
