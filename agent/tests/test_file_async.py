"""The file convention on the vehicle's side: its messages, the segment journal, and a server that can't be asked."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fsd_agent.pipeline.deliver import Deliverer
from fsd_agent.pipeline.sent import MARKS_A_WRITE, SentBook, state_key
from fsd_agent.records.clip import ClipRow, ClipState
from fsd_agent.records.purpose import Purpose
from fsd_agent.rules.uplink.file_transfer import KEPT_NS, FileTransfer, SentSegments
from fsd_agent.rules.uplink.transfer import Heard, SendFin, SendInit, SendSegment, UplinkLimits
from fsd_agent.testing.broker import MemoryBroker, MemoryConnection
from fsd_agent.testing.clock import ManualClock
from fsd_agent.testing.compartments import at, keyed
from fsd_agent.testing.consent import PlainConsent
from fsd_agent.testing.events import RememberedEvents
from fsd_agent.testing.file_server import MemoryFileServer
from fsd_agent.testing.journal import MemoryJournal
from fsd_agent.testing.ledger import MemoryLedger
from fsd_agent.testing.sealed import as_file
from fsd_agent.testing.spool import MemorySpool
from fsd_agent.testing.unlimited import AlwaysOn, OpenGate
from fsd_agent.testing.vehicle_keys import MemoryVehicleKeys
from fsd_agent.wire.file_async import (
    INIT_BYTES_MAX,
    PREFIX_BYTES,
    RESULT_BYTES_MAX,
    SUBSCRIPTION,
    FileClaim,
    FileCommand,
    FileInit,
    FileResult,
    decode_init,
    decode_result,
    encode_init,
    encode_result,
    fin_topic,
    init_topic,
    parse_file,
    response_topic,
    segment_topic,
)
from fsd_agent.wire.pieces import PIECE_BYTES
from fsd_agent.wire.sent import Sent, SentFormatError, decode_sent, encode_sent, pack_marks, unpack_marks
from fsd_agent.wire.transfer import RANGES_MAX, Have, TransferError, UpKind

CLIP = "0123456789abcdef" * 2
HASH = bytes(range(32))
GRID = 1024
LIMITS = UplinkLimits(segment_bytes=GRID)
SECOND = 1_000_000_000


def claim(**more: object) -> FileClaim:
    fields = {
        "fsd": 2,
        "region": "cn",
        "vehicle": "car-1",
        "segment_bytes": GRID,
        "segments": bytes(48),
        "identity": bytes(32),
    }
    return msgspec.convert(fields | more, FileClaim)


def init(**more: object) -> FileInit:
    fields = {"name": CLIP, "size": 2500, "checksum": HASH.hex(), "user_data": claim()}
    return FileInit(**(fields | more))  # type: ignore[arg-type]


def test_topics_are_what_the_convention_says() -> None:
    assert init_topic(CLIP) == f"$file-async/{CLIP}/init"
    assert segment_topic(CLIP, 65536, HASH) == f"$file-async/{CLIP}/65536/{HASH.hex()}"
    assert fin_topic(CLIP, 2500, HASH) == f"$file-async/{CLIP}/fin/2500/{HASH.hex()}"
    assert response_topic("car-1") == "$file-response/car-1"
    assert SUBSCRIPTION == "$file-async/#"


@given(st.integers(0, 10**12 - 1), st.binary(min_size=32, max_size=32))
def test_topics_parse_to_what_built_them(number: int, sha256: bytes) -> None:
    assert parse_file(init_topic(CLIP)) == FileCommand(CLIP, UpKind.INIT)
    segment = FileCommand(CLIP, UpKind.SEGMENT, offset=number, sha256=sha256)
    assert parse_file(segment_topic(CLIP, number, sha256)) == segment
    fin = FileCommand(CLIP, UpKind.FIN, size=number, sha256=sha256)
    assert parse_file(fin_topic(CLIP, number, sha256)) == fin


@pytest.mark.parametrize(
    "topic",
    [
        f"$file/{CLIP}/init",
        "$file-async/../../etc/passwd/init",
        f"$file-async/{CLIP.upper()}/init",
        f"$file-async/{CLIP}",
        f"$file-async/{CLIP}/abort",
        f"$file-async/{CLIP}/0",
        f"$file-async/{CLIP}/-1/{HASH.hex()}",
        f"$file-async/{CLIP}/0/{HASH.hex()}/more",
        f"$file-async/{CLIP}/0/{HASH.hex()[1:]}",
        f"$file-async/{CLIP}/fin/2500",
        f"$file-async/{CLIP}/fin/x/{HASH.hex()}",
    ],
)
def test_a_topic_that_is_not_of_the_convention_is_refused(topic: str) -> None:
    with pytest.raises(TransferError):
        parse_file(topic)


def test_an_init_is_json_that_any_server_reads() -> None:
    assert json.loads(encode_init(init())) == {
        "name": CLIP,
        "size": 2500,
        "checksum": HASH.hex(),
        "user_data": {
            "fsd": 2, "region": "cn", "vehicle": "car-1", "segment_bytes": GRID, "segments": "A" * 64,
            "identity": "A" * 43 + "=",
        },
    }  # fmt: skip
    assert decode_init(encode_init(init())) == init()
    assert (init().sha256, init().identity) == (HASH, bytes(32))


def test_an_init_from_before_names_the_file_by_the_hash_of_the_whole() -> None:
    before = init(user_data=claim(fsd=1, identity=None))
    assert "identity" not in json.loads(encode_init(before))["user_data"]
    assert decode_init(encode_init(before)).identity == HASH


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"name": ""}, "name"),
        ({"size": 0}, "size"),
        ({"size": 5000}, "segments"),
        ({"checksum": "AB" * 32}, "checksum"),
        ({"extra": 1}, "extra"),
        ({"user_data": {}}, "user_data"),
        ({"user_data": {"vehicle": "../x"}}, "vehicle"),
        ({"user_data": {"region": "CN"}}, "region"),
        ({"user_data": {"segment_bytes": 1}}, "segment_bytes"),
        ({"user_data": {"fsd": 3}}, "fsd"),
        ({"user_data": {"fsd": 1}}, "identity is for fsd 2"),
        ({"user_data": {"identity": None}}, "identity is for fsd 2 and needed there"),
        ({"user_data": {"identity": "AAAA"}}, "identity"),
    ],
)
def test_a_bad_init_is_refused_and_the_field_named(change: dict[str, object], named: str) -> None:
    good = json.loads(encode_init(init()))
    if isinstance(change.get("user_data"), dict):
        inner = change["user_data"]
        assert isinstance(inner, dict)
        change = {"user_data": good["user_data"] | inner if inner else {}}
    with pytest.raises(TransferError, match=named):
        decode_init(json.dumps(good | change).encode())


def test_what_is_too_large_or_noise_is_refused() -> None:
    with pytest.raises(TransferError, match="at most"):
        decode_init(bytes(INIT_BYTES_MAX + 1))
    with pytest.raises(TransferError, match="at most"):
        decode_result(bytes(RESULT_BYTES_MAX + 1))
    for noise in (b"", b"{", b"[]", b"\xff\xfe", b'{"topic": 1, "reason_code": 0}'):
        with pytest.raises(TransferError):
            decode_init(noise)
        with pytest.raises(TransferError):
            decode_result(noise)


def test_a_result_names_its_command_and_may_say_more_than_we_know() -> None:
    topic = fin_topic(CLIP, 2500, HASH)
    told = {"vsn": "0.1", "topic": topic, "packet_id": 7, "reason_code": 0, "reason_description": "success"}
    command, result = decode_result(json.dumps(told).encode())
    assert (command.clip_id, command.kind, result.reason_code) == (CLIP, UpKind.FIN, 0)
    with pytest.raises(TransferError):
        decode_result(encode_result(FileResult(topic="elsewhere", reason_code=0)))


@given(st.lists(st.booleans(), max_size=200))
def test_marks_round_trip(bits: list[bool]) -> None:
    marks = bytearray(bits)
    assert unpack_marks(pack_marks(bytes(marks)), len(marks)) == marks
    sent = Sent(sha256=HASH, segment_bytes=GRID, begun_wall_ns=1, whole=True, marks=pack_marks(bytes(marks)))
    assert decode_sent(encode_sent({CLIP: sent})) == {CLIP: sent}


@pytest.mark.parametrize(
    "data", [b"", b"noise", msgspec.msgpack.encode((2, {})), msgspec.msgpack.encode((1, {"a": 1}))]
)
def test_a_segment_journal_that_is_none_is_refused(data: bytes) -> None:
    with pytest.raises(SentFormatError):
        decode_sent(data)


def row_of(size: int = 2500, clip: str = CLIP) -> ClipRow:
    return ClipRow(
        clip, "cn", Purpose.SAFETY, ClipState.SEALED, 0, 1, 0, (), (), 0, size_bytes=size, sha256=HASH
    )


def transfer_of(sent: SentSegments | None = None, counts_until_ns: int = KEPT_NS) -> FileTransfer:
    return FileTransfer(row_of(), LIMITS, sent or SentSegments(2500, GRID), counts_until_ns)


@given(st.integers(1, 9000), st.lists(st.integers(0, 8)))
def test_what_is_missing_is_what_was_not_marked(size: int, marked: list[int]) -> None:
    sent = SentSegments(size, GRID)
    assert (sent.changes, sent.forgotten, sent.whole) == (0, 0, False)
    offsets = {number * GRID for number in marked if number * GRID < size}
    for offset in offsets:
        sent.mark(offset)
    missing = sent.missing()
    assert {at for start, end in missing for at in range(start, end, GRID)} == set(
        range(0, size, GRID)
    ) - offsets
    assert all(end % GRID == 0 or end == size for _, end in missing)
    assert all(left[1] < right[0] for left, right in pairwise(missing)), "joined"
    assert sent.changes == len(offsets)
    sent.taken_whole()
    assert (sent.changes, sent.forgotten, sent.whole) == (len(offsets) + 1, 0, True)
    sent.forget()
    assert (sent.changes, sent.forgotten, sent.whole) == (len(offsets) + 2, 1, False)
    assert sent.missing() == ((0, size),)


def acknowledged(transfer: FileTransfer, now_ns: int = 0, ask: int = 0) -> list[str]:
    """Publish and acknowledge everything there is to say; what it was."""
    said = []
    while (emission := transfer.next(now_ns, ask)) is not None:
        ask += 1
        said.append(str(emission.offset) if isinstance(emission, SendSegment) else type(emission).__name__)
        transfer.taken(emission, now_ns)
    return said


def test_what_was_sent_counts_for_twenty_hours() -> None:
    assert KEPT_NS == 72_000_000_000_000


def test_everything_is_sent_in_order_and_segments_wait_for_the_init() -> None:
    transfer = transfer_of()
    first = transfer.next(0, 1)
    assert isinstance(first, SendInit)
    assert transfer.next(0, 2) is None, "no segment before the broker has the init"
    transfer.taken(first, 0)
    assert acknowledged(transfer, ask=2) == ["0", "1024", "2048", "SendFin"]
    assert transfer.deadline_ns == LIMITS.answer_timeout_ns
    assert transfer.sent.missing() == ()


@pytest.mark.parametrize("ranges", [RANGES_MAX - 1, RANGES_MAX, RANGES_MAX + 1])
def test_everything_is_sent_in_however_many_ranges_it_is_missing_and_the_first_piece_last(
    ranges: int,
) -> None:
    """Nobody said what is missing but the vehicle's own marks, and they are complete."""
    size = 2 * ranges * GRID
    sent = SentSegments(size, GRID)
    for offset in range(GRID, size, 2 * GRID):
        sent.mark(offset)
    transfer = transfer_of(sent)
    missing = range(0, size, 2 * GRID)
    expected = [
        *(one for one in missing if one >= PIECE_BYTES),
        *(one for one in missing if one < PIECE_BYTES),
    ]
    assert acknowledged(transfer) == ["SendInit", *map(str, expected), "SendFin"]
    assert sent.missing() == ()


def test_only_what_was_not_acknowledged_is_sent_after_a_cut_and_after_a_restart() -> None:
    sent = SentSegments(2500, GRID)
    transfer = transfer_of(sent)
    opening = transfer.next(0, 1)
    assert opening is not None
    transfer.taken(opening, 0)
    first = transfer.next(0, 2)
    assert first is not None
    transfer.taken(first, 0)
    transfer.next(0, 2)  # Given to the connection, and then it broke
    transfer.interrupt(0)
    assert acknowledged(transfer, ask=3) == ["SendInit", "1024", "2048", "SendFin"]
    again = transfer_of(sent)
    assert acknowledged(again) == ["SendInit", "SendFin"]


def test_silence_repeats_the_questions_and_not_the_segments() -> None:
    transfer = transfer_of()
    acknowledged(transfer)
    assert transfer.expire(LIMITS.answer_timeout_ns, 0.5)
    assert transfer.failing
    assert transfer.next(LIMITS.answer_timeout_ns, 9) is None, "it backs off"
    assert acknowledged(transfer, transfer.due_ns, 9) == ["SendInit", "SendFin"]


def test_a_failure_forgets_what_was_sent_and_backs_off() -> None:
    transfer = transfer_of()
    acknowledged(transfer)
    assert transfer.result(failed=True, whole=False, now_ns=5, random=0.5) is Heard.USED
    assert transfer.failing
    assert transfer.due_ns > 5
    assert transfer.result(failed=True, whole=False, now_ns=5, random=0.5) is Heard.STALE, "it rests"
    assert acknowledged(transfer, transfer.due_ns, 9) == ["SendInit", "0", "1024", "2048", "SendFin"]


def test_a_file_that_is_whole_is_asked_about_and_never_sent_again() -> None:
    transfer = transfer_of()
    acknowledged(transfer)
    assert transfer.result(failed=False, whole=True, now_ns=5, random=0.5) is Heard.USED
    assert transfer.expire(LIMITS.answer_timeout_ns, 0.5)
    assert acknowledged(transfer, transfer.due_ns, 9) == ["SendFin"]
    assert transfer.result(failed=True, whole=False, now_ns=5, random=0.5) is Heard.STALE
    assert transfer.sent.missing() == ()


def test_a_command_that_went_well_changes_nothing() -> None:
    transfer = transfer_of()
    acknowledged(transfer)
    assert transfer.result(failed=False, whole=False, now_ns=5, random=0.5) is Heard.USED
    assert not transfer.sent.whole
    assert transfer.deadline_ns is not None


def test_what_is_older_than_the_server_keeps_counts_for_nothing() -> None:
    sent = SentSegments(2500, GRID)
    acknowledged(transfer_of(sent))
    sent.taken_whole()
    assert acknowledged(transfer_of(sent, 100), 99) == ["SendFin"]
    late = transfer_of(sent, 100)
    assert acknowledged(late, 100) == ["SendInit", "0", "1024", "2048", "SendFin"]
    late.interrupt(100)
    assert acknowledged(late, 100 + KEPT_NS - 1) == ["SendInit", "SendFin"]
    late.interrupt(100 + KEPT_NS)
    assert len(acknowledged(late, 100 + KEPT_NS)) == 5


def test_an_acknowledgement_of_an_older_question_is_none_of_this_one() -> None:
    transfer = transfer_of()
    first = transfer.next(0, 1)
    assert first is not None
    transfer.interrupt(0)
    second = transfer.next(0, 2)
    assert second is not None
    transfer.taken(first, 0)
    assert transfer.next(0, 3) is None
    transfer.taken(second, 0)
    assert transfer.next(0, 3) == SendSegment(CLIP, 0, GRID)


def test_only_the_fin_that_is_open_starts_the_time_for_an_answer() -> None:
    transfer = transfer_of()
    acknowledged(transfer)
    transfer.interrupt(0)
    opening = transfer.next(0, 7)
    assert opening is not None
    transfer.taken(opening, 0)
    fin = transfer.next(0, 8)
    assert isinstance(fin, SendFin)
    old = SendFin(CLIP, msgspec.structs.replace(fin.message, ask=3))
    transfer.taken(old, 0)
    assert transfer.deadline_ns is None
    transfer.postpone(0, 0.5)
    transfer.taken(fin, 0)
    assert transfer.deadline_ns is None, "it rests"


def test_an_answer_to_what_nobody_asked_is_stale() -> None:
    transfer = transfer_of()
    acknowledged(transfer)
    have = Have(v=1, ask=4, sha256=HASH, missing=((0, GRID),))
    assert transfer.answer(have, 0, 0.5) is Heard.STALE
    assert transfer.next(0, 9) is None


class Books:
    """The segment journal over restarts."""

    def __init__(self) -> None:
        self.state = MemoryJournal()
        self.clock = ManualClock()

    def book(self) -> SentBook:
        return SentBook(self.state, "cn", self.clock, LIMITS)


def test_the_segment_journal_outlives_the_process_and_forgets_in_time() -> None:
    books = Books()
    book = books.book()
    acknowledged(book.begin(row_of()))
    book.keep({CLIP}, at_once=True)
    assert acknowledged(books.book().begin(row_of())) == ["SendInit", "SendFin"]
    books.clock.advance(KEPT_NS - 1)
    assert acknowledged(books.book().begin(row_of()), books.clock.monotonic_ns()) == ["SendInit", "SendFin"]
    books.clock.advance(1)
    assert len(acknowledged(books.book().begin(row_of()), books.clock.monotonic_ns())) == 5


def test_marks_of_another_file_count_for_nothing() -> None:
    books = Books()
    book = books.book()
    acknowledged(book.begin(row_of()))
    book.keep({CLIP}, at_once=True)
    changed = replace(row_of(), sha256=bytes(32))
    assert len(acknowledged(books.book().begin(changed))) == 5


def test_it_is_written_now_and_then_and_at_once_when_asked_to() -> None:
    books = Books()
    book = books.book()
    size = (2 * MARKS_A_WRITE + 3) * GRID
    transfer = book.begin(row_of(size))
    writes = []
    while (emission := transfer.next(0, 0)) is not None and not isinstance(emission, SendFin):
        transfer.taken(emission, 0)
        before = books.state.get_state(state_key("cn"))
        book.keep({CLIP})
        writes.append(books.state.get_state(state_key("cn")) != before)
    assert sum(writes) == 2
    book.keep({CLIP}, at_once=True)
    kept = decode_sent(books.state.get_state(state_key("cn")) or b"")
    assert unpack_marks(kept[CLIP].marks, 35) == bytearray([1] * 35)
    book.keep(set(), at_once=True)
    assert decode_sent(books.state.get_state(state_key("cn")) or b"") == {}, (
        "a clip that has ended is forgotten"
    )


def test_a_journal_of_segments_that_can_not_be_read_sends_everything_again_and_says_so() -> None:
    books = Books()
    books.state.set_state(state_key("cn"), b"torn")
    book = books.book()
    assert "sent again" in book.trouble
    assert len(acknowledged(book.begin(row_of()))) == 5


@dataclass
class Road:
    """A vehicle, a broker, and a server of the convention behind it."""

    seed: int = 0
    server: MemoryFileServer = field(default_factory=MemoryFileServer)
    broker: MemoryBroker = field(default_factory=MemoryBroker)
    journal: MemoryJournal = field(default_factory=MemoryJournal)
    spool: MemorySpool = field(default_factory=lambda: MemorySpool(keyed("cn")))
    clock: ManualClock = field(default_factory=ManualClock)

    def __post_init__(self) -> None:
        self.chance = random.Random(self.seed)
        self.ledger = MemoryLedger(keys=MemoryVehicleKeys(), clock=self.clock)
        self.broker.listen(SUBSCRIPTION, self.server.handle)
        self.data: dict[str, bytes] = {}
        self.start()

    def start(self) -> None:
        """A new process on the same disk."""
        self.deliverer = Deliverer(
            broker=MemoryConnection({("127.0.0.1", 8883): self.broker}, window=4),
            journal=self.journal,
            spool=self.spool,
            ledger=self.ledger,
            consent=PlainConsent(),
            clock=self.clock,
            events=RememberedEvents(),
            route_source=self.server.route,
            on_message=lambda _route, message: pytest.fail(f"not for us: {message}"),
            random=self.chance.random,
            limits=LIMITS,
            gate=OpenGate(),
            power=AlwaysOn(),
        )

    def add(self, number: int, size: int) -> str:
        clip = f"{number:032x}"
        self.data[clip] = random.Random(number).randbytes(size)
        row = ClipRow(clip, "cn", Purpose.SAFETY, ClipState.STAGED, number, number + 1, 0, (), (), 0)
        self.journal.accept((), (row,))
        self.journal.captured(clip, cut=False)
        self.journal.sealed(self.spool.put(at("cn"), clip, as_file(self.data[clip])))
        return clip

    def delivered(self) -> bool:
        return {row.clip_id for row in self.journal.clips({ClipState.DELIVERED})} == set(self.data)

    def run(self, until: Callable[[], bool], steps: int = 3000, tick_ns: int = SECOND) -> bool:
        for _ in range(steps):
            if until():
                return True
            self.deliverer.step(0)
            self.clock.advance(tick_ns)
        return until()

    def segments(self) -> int:
        return sum(command.kind is UpKind.SEGMENT for command in self.server.commands)


def test_a_clip_goes_by_the_convention_and_ends_with_the_regions_receipt() -> None:
    road = Road()
    clip = road.add(1, 5000)
    assert road.run(road.delivered)
    assert road.server.stored == road.data
    assert road.spool.entries() == frozenset()
    assert road.journal.receipts[clip]
    assert road.segments() == 5
    assert not any("fsd/1" in each.topic for each in road.broker.published)
    listed = decode_init(road.broker.published[0].payload).user_data.segments
    first = hashlib.sha256(road.data[clip][:GRID]).digest()
    assert listed[:PREFIX_BYTES] == first[:PREFIX_BYTES]


def test_the_conventions_own_success_deletes_nothing() -> None:
    road = Road()
    road.server.receipts = False
    clip = road.add(1, 5000)
    assert not road.run(road.delivered, steps=3600)
    assert road.server.stored == road.data
    assert road.spool.entries() == {(at("cn"), clip)}
    assert road.segments() == 5, "whole is whole: only asked about again"
    road.broker.publish(*road.server.receipt(clip))
    assert road.run(road.delivered)


def test_a_process_that_ends_when_the_file_is_whole_asks_for_the_receipt_alone() -> None:
    """The fin names the hash of the whole, which a new process finds out first."""
    road = Road()
    road.server.receipts = False
    road.add(1, 5000)
    assert road.run(lambda: bool(road.server.stored))
    assert not road.run(road.delivered, steps=3)
    road.deliverer.close()
    road.start()
    road.server.receipts = True
    road.server.commands.clear()
    assert road.run(road.delivered)
    assert {command.kind for command in road.server.commands} == {UpKind.FIN}


def test_a_process_that_dies_goes_on_from_its_segment_journal() -> None:
    road = Road()
    road.add(1, 40 * GRID)
    road.run(lambda: road.segments() >= 20, tick_ns=SECOND // 100)
    road.start()
    assert road.run(road.delivered)
    assert 40 <= road.segments() <= 40 + MARKS_A_WRITE + 4


def test_segments_that_the_server_threw_away_are_sent_again() -> None:
    road = Road()
    clip = road.add(1, 20 * GRID)
    road.run(lambda: road.segments() >= 10, tick_ns=SECOND // 100)
    road.broker.cut()
    road.server.expire()
    assert road.run(road.delivered)
    assert road.server.stored[clip] == road.data[clip]


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32))
def test_every_clip_arrives_whole_through_losses_cuts_and_restarts(seed: int) -> None:
    """The broker acknowledges what it forgets; the vehicle and the server restart."""
    road = Road(seed)
    chance = road.chance
    rate = chance.choice([0.0, 0.1, 0.25])
    road.broker.forget = lambda _topic: chance.random() < rate
    for number in range(chance.randint(1, 3)):
        road.add(number, chance.randint(1, 12_000))

    def fault() -> bool:
        draw = chance.randrange(60)
        if draw == 0:
            road.broker.cut()
        elif draw == 1:
            road.start()
        return road.delivered()

    assert road.run(fault, steps=20_000)
    assert road.server.stored == road.data


@pytest.mark.parametrize(
    "payload", [b"noise", encode_result(FileResult(topic=init_topic("f" * 32), reason_code=1))]
)
def test_a_result_that_is_noise_or_anothers_changes_nothing(payload: bytes) -> None:
    road = Road()
    road.server.receipts = False
    road.add(1, 3000)
    road.run(lambda: bool(road.server.stored))
    road.broker.publish(response_topic("car-1"), payload)
    road.run(lambda: False, steps=5, tick_ns=0)
    stats = road.deliverer.stats()
    assert stats.bad_answers + stats.unknown_clips == 1
    assert stats.waiting_clips == 1
