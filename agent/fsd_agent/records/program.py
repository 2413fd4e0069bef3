"""A checked condition, as arrays are computed from it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Program:
    """Placeholder until the compiler's author defines it."""
