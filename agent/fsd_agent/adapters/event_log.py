"""Events as NDJSON for machines or as plain lines for people, on a stream.

One JSON object a line: ``{"event": NAME, "t_wall_ns": N, ...}``. A reader that went away (EPIPE) ends the
telling, not the agent: the loss is logged once.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from typing import TextIO

from fsd_agent.ports.events import EventName, EventValue

_log = logging.getLogger(__name__)


class StreamEvents:
    """Writes events to ``stream``; ``as_json`` chooses the form."""

    def __init__(self, stream: TextIO, *, as_json: bool) -> None:
        self._stream: TextIO | None = stream
        self._as_json = as_json
        self._lock = threading.Lock()

    def emit(self, event: EventName, /, **fields: EventValue) -> None:
        """Write one line."""
        if self._as_json:
            line = json.dumps({"event": event, "t_wall_ns": time.time_ns(), **fields})
        else:
            line = event.ljust(18) + "  ".join(f"{name}={value}" for name, value in fields.items())
        with self._lock:
            if self._stream is None:
                return
            try:
                self._stream.write(line + "\n")
                self._stream.flush()
            except (OSError, ValueError) as error:
                self._stream = None
                _log.warning("nobody reads the events any more: %s", error)
