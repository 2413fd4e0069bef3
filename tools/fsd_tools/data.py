"""Where the real drives, videos and model weights lie: beside the project, never inside it."""

from __future__ import annotations

import os
from pathlib import Path


def data_dir() -> Path:
    """``FSD_DATA``, or ``shared/data`` beside the repository."""
    named = os.environ.get("FSD_DATA")
    return Path(named) if named else Path(__file__).resolve().parents[3] / "shared" / "data"
