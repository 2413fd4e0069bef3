"""A call into a foreign library that may never come back, and a caller that goes on without it.

What waits inside a library can't be ended. It is left behind in a thread of its own, with everything that it holds, and ends
with the process; nothing else of the process waits for it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

Result = TypeVar("Result")


def in_time(call: Callable[[], Result], *, within_s: float, name: str) -> Result:
    """What ``call`` returns or raises. Raises ``TimeoutError`` where it has done neither after ``within_s``.

    ``name`` is that of the thread that it runs in, which is scheduled like the caller.
    """
    results: list[Result] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(call())
        except BaseException as error:  # noqa: BLE001 - it is the caller's, and raised there
            errors.append(error)

    # Not of a pool: those are waited for when the process ends.
    thread = threading.Thread(target=run, name=name, daemon=True)
    thread.start()
    thread.join(within_s)
    if thread.is_alive():
        raise TimeoutError(f"{name}: not back after {within_s:g} s")
    if errors:
        raise errors[0]
    return results[0]
