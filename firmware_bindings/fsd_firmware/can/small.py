"""A tick's worth of frames, one by one in plain Python: for batches of at most ``MAX_FRAMES``.

The array path makes some 35 calls into NumPy whatever the batch holds. In a car a batch of 15 to 40 frames comes
every 9 to 13 ms, and in between others have filled the processor's caches: each call then waits for its own code
and tables from memory, and the batch costs ten times what it costs in a loop that repeats it. Few frames are
cheaper in the interpreter, which touches little: one dictionary, and one function a message.

A message's function takes a frame as two integers, its bytes read little-endian and big-endian, and returns the
values of all its fields, each written as its definition (see :mod:`table`): ``(b >> 40 & 32767) * 0.01 + -67.67``.
It is compiled from text before the first frame comes. Into the text go the shifts, masks, scales and offsets of a
table that was checked, as Python writes integers and finite doubles, and nothing else: no name and no string of a
table gets there, so a table can't bring in code; and the text can't call anything, for no builtins are in reach.

What needs more than that is left, with its whole batch, to the array path: messages with fields that the four steps
of :mod:`plan` alone don't give, frames that are short or overlong, and frames out of order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import repeat
from struct import Struct
from typing import Final, Literal, NamedTuple

from fsd_firmware.can.plan import Plan
from fsd_firmware.can.table import SignalTable
from fsd_firmware.can_frames import CanFrames
from fsd_firmware.samples import Signals

_WORD_BYTES: Final = 8
MAX_FRAMES: Final = 48
"""Beyond, arrays win while caches are cold, as they are in a car. While they are warm, arrays win from about half as many."""

Frames = Callable[[bytes], Iterable[tuple[int]]]
"""Each frame of a batch's data as one integer."""
Read = Callable[[int, int], tuple[float, ...]]


class _Message(NamedTuple):
    """How frames of one message are read."""

    read: Read
    rows: tuple[int, ...]
    """The fields' catalogue rows."""
    fields: int
    needed: int
    """Bytes that hold all fields."""


_LEFT: Final = _Message(lambda _w, _b: (), (), 0, needed=1 << 8)
"""A message for the array path: no frame has so many bytes."""


class SmallBatches:
    """Reads batches of frames of ``plan``'s width. Used by one thread."""

    def __init__(self, table: SignalTable, plan: Plan) -> None:
        self._table, self._width = table, plan.width
        self._messages = {
            key: _LEFT if odd else self._message(number)
            for number, (key, odd) in enumerate(
                zip(table.message_key.tolist(), plan.odd.tolist()[1:], strict=True)
            )
        }
        any_big, any_little = bool(table.big_endian.any()), not table.big_endian.all()
        self._little = _whole_frames("little", self._width) if any_little else _nothing
        self._big = _whole_frames("big", self._width) if any_big else _nothing

    def decode(self, frames: CanFrames) -> tuple[Signals, int] | None:
        """All samples, and how many frames no message describes; None when the batch needs the array path."""
        known, width, last, unknown = self._messages.get, self._width, -(1 << 63), 0
        times: list[int] = []
        rows: list[int] = []
        values: list[float] = []
        *columns, raw = frames.listed
        for t_ns, bus, can_id, length, (w,), (b,) in zip(  # one call, since each costs when caches are cold
            *columns,
            self._little(raw),
            self._big(raw),
            strict=False,
        ):
            if t_ns < last or length > width:
                return None
            last, message = t_ns, known(bus << 32 | can_id)
            if message is None:
                unknown += 1
                continue
            read, row, fields, needed = message
            if length < needed:
                return None
            values += read(w, b)
            rows += row
            times += (t_ns,) * fields
        return Signals.of_lists(times, rows, values), unknown

    def _message(self, number: int) -> _Message:
        table, first, end = self._table, int(self._table.first[number]), int(self._table.first[number + 1])
        return _Message(
            _compiled([self._text(field) for field in range(first, end)]),
            tuple(table.catalogue_row[first:end].tolist()),
            end - first,
            int(table.min_bytes[first:end].max()),
        )

    def _text(self, field: int) -> str:
        """The field's value as an expression of ``w`` and ``b``, the frame in either byte order."""
        table, bits = self._table, 8 * self._width
        start, length = int(table.start[field]), int(table.length[field])
        text, shift = "w", start
        if table.big_endian[field]:
            text, shift = "b", bits - (8 * (start // 8) + 7 - start % 8) - length
        if shift:
            text = f"{text} >> {shift}"
        if shift + length < bits:
            text = f"{text} & {(1 << length) - 1}"
        if table.signed[field]:
            sign = 1 << (length - 1)
            text = f"(({text}) ^ {sign}) - {sign}"
        scale, offset = float(table.scale[field]), float(table.offset[field])
        if scale == 1 and offset == 0:
            return f"({text}) * 1.0"
        text = f"({text}) * {scale!r}"
        # Adding zero matters only to a product of -0.0, which a positive scale doesn't give.
        return text if scale > 0 and offset == 0 else f"{text} + {offset!r}"


def _compiled(texts: list[str]) -> Read:
    body = "".join(f"{text}, " for text in texts)
    read: Read = eval(f"lambda w, b: ({body})", {"__builtins__": {}})  # noqa: S307 - only numbers, see above
    return read


def _whole_frames(order: Literal["little", "big"], width: int) -> Frames:
    if width == _WORD_BYTES:
        return Struct("<Q" if order == "little" else ">Q").iter_unpack
    split = Struct(f"{width}s").iter_unpack
    return lambda raw: ((int.from_bytes(one, order),) for (one,) in split(raw))


def _nothing(_: bytes) -> Iterable[tuple[int]]:
    """For a byte order that no field has."""
    return repeat((0,))
