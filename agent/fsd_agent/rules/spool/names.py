"""Names on disk. An id is checked before it becomes part of a path, and a path is an id only if it reads back.

    staging   <region id>/<purpose>/<clip id>.staged
    spool     <region id>/<purpose>/<clip id>.sealed
    unfinished  .<name>.<8 hex>.tmp   (removed at start)

Ids arrive in journals, firmware and messages; an id with a slash, a dot or a NUL must never name a file.
"""

from __future__ import annotations

import re

from fsd_agent.records.purpose import Purpose

STAGED_SUFFIX = ".staged"
SEALED_SUFFIX = ".sealed"
TMP_SUFFIX = ".tmp"

_CLIP_ID = re.compile(r"[0-9a-f]{32}")
_PURPOSES = {str(purpose): purpose for purpose in Purpose}
_REGION_ID = re.compile(r"[a-z0-9-]{1,32}")


def is_clip_id(text: str) -> bool:
    """32 lower-case hex digits."""
    return _CLIP_ID.fullmatch(text) is not None


def is_region_id(text: str) -> bool:
    """1 to 32 of ``[a-z0-9-]``."""
    return _REGION_ID.fullmatch(text) is not None


def purpose_of(text: str) -> Purpose | None:
    """The purpose of this id; None for every other name."""
    return _PURPOSES.get(text)


def clip_id_of(name: str, suffix: str) -> str | None:
    """The clip id in ``<clip id><suffix>``; None for every other name."""
    stem = name.removesuffix(suffix)
    return stem if stem != name and is_clip_id(stem) else None


def is_tmp(name: str) -> bool:
    """Whether an interrupted write of ours left this."""
    return name.startswith(".") and name.endswith(TMP_SUFFIX)
