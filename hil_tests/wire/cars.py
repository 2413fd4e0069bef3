"""What can run in the car's namespace: the stepped car of :mod:`.world`, or the real agent of :mod:`.agent`."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol


class Car(Protocol):
    """What runs in the car's namespace."""

    data: Path
    """Folder of journal, staging and spool."""
    at_once: bool
    """It notices a new registration at its next command."""

    @property
    def pid(self) -> int:
        """0 while nothing runs."""
        ...

    def start(self, data: Path, broken: str = "") -> dict[str, Any]:
        """Begin a life; the answer says ``failed`` where the agent refuses to start."""
        ...

    def ask(self, **command: object) -> dict[str, Any]:
        """Let it do something, and tell what it has."""
        ...

    def stop(self) -> None:
        """A clean end."""
        ...

    def kill(self) -> None:
        """A crash."""
        ...
