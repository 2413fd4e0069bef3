"""Events on a stream: one line each, and a reader that goes away does not stop the agent."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os

import pytest

from fsd_agent.adapters.event_log import StreamEvents


def test_machines_get_one_object_a_line() -> None:
    stream = io.StringIO()
    StreamEvents(stream, as_json=True).emit("fired", campaign="a", event_ns=5)
    event = json.loads(stream.getvalue())
    assert event.pop("t_wall_ns") > 0
    assert event == {"event": "fired", "campaign": "a", "event_ns": 5}


def test_people_get_a_plain_line() -> None:
    stream = io.StringIO()
    StreamEvents(stream, as_json=False).emit("hold", reason="no_region")
    assert stream.getvalue().split() == ["hold", "reason=no_region"]


def test_a_reader_that_went_away_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w", buffering=1) as stream, caplog.at_level(logging.WARNING):
        events = StreamEvents(stream, as_json=True)
        events.emit("one")
        events.emit("two")
        with contextlib.suppress(BrokenPipeError):
            stream.close()
    assert len(caplog.records) == 1
