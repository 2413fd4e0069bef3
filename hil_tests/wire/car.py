"""The vehicle's process: starts lives, each in a child of its own, so that one can be killed like a process.

Commands come as JSON lines on stdin and each is answered by one on stdout; every child takes them until it is told to
stop or is killed. What Python and numpy need to start is paid once.
"""

from __future__ import annotations

import json
import logging
import os
import traceback
from pathlib import Path
from typing import Any

from hil_tests.wire.life import Life

_INPUT = os.fdopen(0, "rb", buffering=0)
"""Unbuffered: what follows a line belongs to whichever process reads next."""


def _say(**answer: object) -> None:
    os.write(1, json.dumps(answer).encode() + b"\n")


def _live(start: dict[str, Any]) -> None:
    """In the child: until stopped."""
    try:
        life = Life(Path(start["vehicle"]), Path(start["data"]), start["broken"])
    except Exception as error:  # noqa: BLE001 - an agent that refuses to start is an answer
        _say(failed=f"{type(error).__name__}: {error}")
        return
    _say(pid=os.getpid(), **life.report())
    while line := _INPUT.readline():
        command = json.loads(line)
        match command["do"]:
            case "collect":
                life.collect()
            case "deliver":
                life.deliver(command["budget_s"], command["ahead_s"])
            case "stop":
                life.stop()
                _say(stopped=True)
                return
        _say(**life.report())


def main() -> None:
    """Until stdin ends."""
    logging.disable(logging.CRITICAL)
    while line := _INPUT.readline():
        child = os.fork()
        if child == 0:
            try:
                _live(json.loads(line))
            except BaseException:  # noqa: BLE001 - the last frame of this process: told, and the proof fails
                traceback.print_exc()
                os._exit(1)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        _say(ended=status)


if __name__ == "__main__":
    main()
