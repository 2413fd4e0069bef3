"""Looks for damage in files that wait on board, before somebody needs them: slowly, and at the lowest priority.

| round | what is read | what it finds |
| --- | --- | --- |
| the first, after each start | of each sealed file the header and the end | files that were cut short, or lost their header, or are another clip's |
| every other, a day after the one before | every byte of every file, authenticated; a sealed file's hash against the journal | any damage |

Clips are taken in the order of their ids, and where a round of the second kind has come to is kept over restarts. At most
``bytes_per_s`` are read, so a full spool takes days and nobody notices.

A clip whose file is damaged is given up by the thread that it belongs to (``step``), if it is still in that state: a
sealed one as ``spool_damaged``, a captured one as ``staging_lost``. What can't be read for another reason - it is gone, the
disk fails, a key is away - is told, and left to whoever needs the file: it may be there then.

Threads: ``look`` for one; ``step`` and ``trouble`` for any.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator

from fsd_agent.pipeline.give_up import GiveUp
from fsd_agent.pipeline.sealed_blocks import sealed_blocks
from fsd_agent.ports.clock import Clock
from fsd_agent.ports.events import EventSink
from fsd_agent.ports.journal import Journal, JournalError
from fsd_agent.ports.ledger import LedgerError
from fsd_agent.ports.spool import CompartmentKeyError, SpoolDamagedError, SpoolError, SpoolStore, Staging
from fsd_agent.records.clip import ClipRow, ClipState
from fsd_agent.records.reasons import DropReason
from fsd_agent.wire.scrub_place import ScrubPlaceError, decode_scrub_place, encode_scrub_place

READ_BYTES = 1 << 20
"""Of a sealed file at a time."""
OPEN_BYTES = 64 << 10
"""What a file counts for that is only opened, or can't be: to read the end of a sealed one takes a chunk."""
ROUND_EVERY_NS = 86_400_000_000_000
CLIPS_AT_ONCE = 64
"""Read from the journal at a time; where the round is, is kept as often."""
RETRY_NS = 60_000_000_000
"""Until the journal or the ledger is asked again, where it could not be read or written."""
STATE_KEY = "scrub"
_REASONS = {ClipState.CAPTURED: DropReason.STAGING_LOST, ClipState.SEALED: DropReason.SPOOL_DAMAGED}
_ORDER = (ClipState.CAPTURED, ClipState.SEALED)


class Scrub:
    """See the module."""

    def __init__(
        self,
        *,
        journal: Journal,
        staging: Staging,
        spool: SpoolStore,
        give_up: GiveUp,
        clock: Clock,
        events: EventSink,
        bytes_per_s: int,
    ) -> None:
        self._journal = journal
        self._staging = staging
        self._spool = spool
        self._give_up = give_up
        self._clock = clock
        self._events = events
        self._bytes_per_s = bytes_per_s
        self._looked_ns = clock.monotonic_ns()
        self._allowance = 0.0
        """Bytes that may be read now; less than nothing after a large read."""
        self._not_before_ns = self._looked_ns
        self._work = self._rounds()
        self._lock = threading.Lock()
        self._found: dict[str, tuple[ClipState, str]] = {}
        self._step_at_ns = self._looked_ns
        self._trouble = ""

    @property
    def trouble(self) -> str:
        """The newest damage that was found since the start; empty before the first."""
        return self._trouble

    def look(self) -> None:
        """Read on, as far as the rate allows by now."""
        now_ns = self._clock.monotonic_ns()
        since_s = (now_ns - self._looked_ns) / 1e9
        self._looked_ns = now_ns
        self._allowance = min(self._allowance + since_s * self._bytes_per_s, self._bytes_per_s)
        while self._allowance > 0 and self._clock.monotonic_ns() >= self._not_before_ns:
            self._allowance -= next(self._work)

    def step(self, state: ClipState) -> tuple[str, ...]:
        """Give up clips in ``state`` whose files were found damaged; their ids."""
        now_ns = self._clock.monotonic_ns()
        with self._lock:
            found = [] if now_ns < self._step_at_ns else list(self._found.items())
        given_up: list[str] = []
        try:
            for clip_id, (found_in, detail) in found:
                if found_in is state:
                    row = self._journal.clip(clip_id)
                    if row is not None and row.state is state:
                        self._give_up.drop(row, _REASONS[state], detail)
                        given_up.append(clip_id)
                    with self._lock:
                        del self._found[clip_id]
        except (JournalError, LedgerError) as error:
            self._step_at_ns = now_ns + RETRY_NS
            is_ledger = isinstance(error, LedgerError)
            self._events.emit("ledger_failed" if is_ledger else "journal_failed", clip="", what=str(error))
        return tuple(given_up)

    def _rounds(self) -> Iterator[int]:
        """Reads on for ever; how many bytes each time."""
        yield from self._round(ClipState.SEALED, "", ends_only=True)
        state, clip_id = self._kept()
        while True:
            for one in _ORDER[_ORDER.index(state) :]:
                yield from self._round(one, clip_id if one is state else "", ends_only=False)
            state, clip_id = _ORDER[0], ""
            self._keep(state, clip_id)
            yield self._rest(ROUND_EVERY_NS)

    def _round(self, state: ClipState, clip_id: str, *, ends_only: bool) -> Iterator[int]:
        while True:
            try:
                rows = self._journal.following(state, clip_id, limit=CLIPS_AT_ONCE)
            except JournalError as error:
                self._events.emit("journal_failed", clip="", what=str(error))
                yield self._rest(RETRY_NS)
                continue
            for row in rows:
                yield OPEN_BYTES
                yield from self._read(row, ends_only=ends_only)
                clip_id = row.clip_id
            if len(rows) < CLIPS_AT_ONCE:
                return
            if not ends_only:
                self._keep(state, clip_id)

    def _read(self, row: ClipRow, *, ends_only: bool) -> Iterator[int]:
        try:
            if row.state is ClipState.CAPTURED:
                yield from map(len, self._staging.read(row.compartment, row.clip_id))
            elif ends_only:
                self._read_end(row)
            else:
                for block in sealed_blocks(self._spool.region(row.region_id), row, READ_BYTES):
                    yield sum(map(len, block))
        except SpoolDamagedError as error:
            self._note(row, str(error))
        except CompartmentKeyError:
            return  # Without it nothing can be told from noise
        except SpoolError as error:
            if self._is_there(row):
                self._events.emit("disk_failed", clip=row.clip_id, what=str(error))

    def _read_end(self, row: ClipRow) -> None:
        last, region = max(0, row.size_bytes - 1), self._spool.region(row.region_id)
        data = region.read(row.purpose, row.clip_id, last, 2)
        if last + len(data) != row.size_bytes:
            raise SpoolDamagedError(
                f"clip {row.clip_id}: does not end where it did: {row.size_bytes} bytes were sealed"
            )
        says = region.identity(row.purpose, row.clip_id)
        if says is not None and says.sha256 != row.sha256:
            raise SpoolDamagedError(f"clip {row.clip_id}: SHA-256 of the file is not that of what was sealed")

    def _is_there(self, row: ClipRow) -> bool:
        """Whether the clip is still where it was when its file was begun to be read."""
        try:
            now = self._journal.clip(row.clip_id)
        except JournalError:
            return True
        return now is not None and now.state is row.state

    def _note(self, row: ClipRow, what: str) -> None:
        with self._lock:
            if row.clip_id not in self._found:
                self._found[row.clip_id] = (row.state, what)
                self._trouble = f"damaged: {what}"

    def _rest(self, for_ns: int) -> int:
        """Nothing is read for so long."""
        self._not_before_ns = self._clock.monotonic_ns() + for_ns
        return 0

    def _kept(self) -> tuple[ClipState, str]:
        """Where the round was; what can't be read was not written by us, and a round begins."""
        try:
            kept = self._journal.get_state(STATE_KEY)
            return decode_scrub_place(kept) if kept is not None else (_ORDER[0], "")
        except (JournalError, ScrubPlaceError):
            return _ORDER[0], ""

    def _keep(self, state: ClipState, clip_id: str) -> None:
        try:
            self._journal.set_state(STATE_KEY, encode_scrub_place(state, clip_id))
        except JournalError as error:
            self._events.emit("journal_failed", clip="", what=str(error))
