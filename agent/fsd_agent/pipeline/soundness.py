"""Whether a sealed file is what was sealed: it is hashed as a whole and compared with the journal.

This is done before the first question about a clip whose file does not say itself what it is, and of any after an attempt that
got nowhere (:mod:`.sealed_files`): so a damaged file is found here, instead of being sent for ever to a receiver that can never
accept it. Each time, because a file that was sound at the last attempt may be the reason why that one failed. Hashing takes as long as sending on a fast link does, and a large clip takes seconds: so it is done beside the
delivering loop, which sends other clips, and what is small, meanwhile.

Threads: one calls the methods, and each check runs where the executor runs it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any

from fsd_agent.pipeline.sealed_blocks import sealed_blocks
from fsd_agent.pipeline.segments import Outline, block_of
from fsd_agent.ports.spool import RegionSpool, SpoolError
from fsd_agent.records.clip import ClipRow

_NONE = frozenset[str]()


class AtOnce(Executor):
    """Runs what it is given before it returns: for who has no thread to spare."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """See ``concurrent.futures.Executor``."""
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:  # noqa: BLE001 - who asks for the result gets it
            future.set_exception(error)
        return future


class Soundness:
    """See the module. Of one region's files."""

    def __init__(
        self, spool: RegionSpool, beside: Executor, done: Callable[[], None], segment_bytes: int
    ) -> None:
        """``done`` is called by the thread of a check, once its answer is there."""
        self._spool = spool
        self._beside = beside
        self._done = done
        self._segment_bytes = segment_bytes
        self._checks: dict[str, tuple[ClipRow, Future[Outline]]] = {}
        self._given_up = threading.Event()

    @property
    def unknown(self) -> frozenset[str]:
        """Clips that are being checked."""
        if not self._checks:  # Asked for each segment, and hardly ever is there one
            return _NONE
        return frozenset(clip_id for clip_id, (_, check) in self._checks.items() if not check.done())

    def outline(self, row: ClipRow) -> Outline | None:
        """The hashes of a file that is found to be sound, which counts once; None: it is being checked.

        Raises ``SpoolDamagedError`` or another ``SpoolError``, which counts once too.
        """
        asked, check = self._checks.get(row.clip_id, (None, None))
        if check is None or asked != row:
            check = self._beside.submit(self._check, row, self._given_up)
            self._checks[row.clip_id] = row, check
            check.add_done_callback(lambda _: self._done())
        if not check.done():
            return None
        del self._checks[row.clip_id]
        return check.result()

    def forget(self, clip_id: str) -> None:
        """The file is gone, or will be."""
        self._checks.pop(clip_id, None)

    def forget_all(self) -> None:
        """Any of them may be gone; what is being checked is given up, soon."""
        self._checks.clear()
        self._given_up.set()
        self._given_up = threading.Event()

    def _check(self, row: ClipRow, given_up: threading.Event) -> Outline:
        outline = Outline(self._segment_bytes)
        for block in sealed_blocks(self._spool, row, block_of(self._segment_bytes)):
            if given_up.is_set():
                raise SpoolError(f"clip {row.clip_id}: nobody wants to know any more")
            outline.add(block)
        return outline
