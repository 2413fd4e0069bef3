"""What the process of a disk and whoever starts it agree upon."""

from __future__ import annotations

import signal
from enum import StrEnum

CUT = signal.SIGUSR1
"""The power is cut now, where it is still on; leave what survives."""
GO_ON = signal.SIGUSR2
"""Go on after a stop."""
END = signal.SIGTERM
"""An orderly end; leave everything."""


class Count(StrEnum):
    """What is counted up to a stop. Most of what a program does to a disk is writing; most of what it decides is not."""

    OPERATIONS = "operations"
    """Everything that changes or syncs something."""
    STEPS = "steps"
    """Of these, all but writes: syncs, and changes of names and sizes."""


class Lie(StrEnum):
    """Which syncs the disk says it has done and has not."""

    NONE = "none"
    FOLDERS = "folders"
    """Of folders: what is left of a program that never syncs one."""
    COMMITS = "commits"
    """Of a SQLite database's -wal, but for the one before its pages are copied into the database: what ``synchronous =
    NORMAL`` does."""
