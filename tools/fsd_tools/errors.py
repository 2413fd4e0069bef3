"""Failures that a person can act on."""

from __future__ import annotations


class ToolError(Exception):
    """An expected failure: ``fsdctl`` prints the message (file, field, reason, what to do) and exits with 1."""


class UsageError(ToolError):
    """An option has a value that it can't have: exits with 2."""
