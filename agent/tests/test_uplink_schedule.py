"""The sender without a network: what is sent next, what ends a clip, and a channel that loses, doubles and swaps."""

from __future__ import annotations

import hashlib
import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fsd_agent.records.clip import ClipRow, ClipState, Receipt
from fsd_agent.records.purpose import Purpose
from fsd_agent.records.region import Route
from fsd_agent.records.worth import Valued, Worth
from fsd_agent.rules.uplink.backoff import BackoffPolicy, delay_ns
from fsd_agent.rules.uplink.schedule import Delivered, Refused, Schedule
from fsd_agent.rules.uplink.transfer import (
    Emission,
    SendFin,
    SendInit,
    SendSegment,
    UplinkLimits,
    key_last,
)
from fsd_agent.testing.region import MemoryRegion
from fsd_agent.wire.pieces import PIECE_BYTES
from fsd_agent.wire.receipt import encode_receipt
from fsd_agent.wire.transfer import RANGES_MAX, DownAddress, DownKind, Have, Topics, encode

LIMITS = UplinkLimits(segment_bytes=1024)
SECOND = 1_000_000_000


def clip_of(number: int, size: int = 3000, *, priority: int = 0, region: str = "cn") -> tuple[ClipRow, bytes]:
    data = random.Random(number).randbytes(size)
    row = ClipRow(
        clip_id=f"{number:032x}",
        region_id=region,
        purpose=Purpose.SAFETY,
        state=ClipState.SEALED,
        start_ns=number,
        end_ns=number + 1,
        wall_minus_mono_ns=0,
        cameras=(),
        signals=(),
        priority=priority,
        size_bytes=size,
        sha256=hashlib.sha256(data).digest(),
    )
    return row, data


def have_for(emission: Emission, row: ClipRow, missing: tuple[tuple[int, int], ...]) -> bytes:
    assert not isinstance(emission, SendSegment)
    return encode(Have(v=1, ask=emission.message.ask, sha256=row.sha256, missing=missing))


def address(row: ClipRow, kind: DownKind = DownKind.HAVE) -> DownAddress:
    return DownAddress(kind, row.clip_id)


@given(st.integers(0, 100), st.floats(0, 1, exclude_max=True))
def test_the_wait_is_bounded_and_never_nothing(attempt: int, draw: float) -> None:
    policy = BackoffPolicy(first_ns=1000, most_ns=60_000)
    wait = delay_ns(policy, attempt, draw)
    assert 500 <= wait <= min(60_000, 1000 * 2**attempt)


def test_the_wait_spreads_over_its_whole_range() -> None:
    policy = BackoffPolicy(first_ns=1000, most_ns=60_000)
    assert delay_ns(policy, 6, 0.0) == 500
    assert delay_ns(policy, 6, 0.999999) > 59_000


def test_a_clip_is_asked_about_sent_and_closed_in_order() -> None:
    region = MemoryRegion()
    row, _ = clip_of(1)
    schedule = Schedule(region.route(), LIMITS, 5)
    schedule.update([row])
    asked = schedule.next(0)
    assert isinstance(asked, SendInit)
    assert asked.message.ask == 5
    assert schedule.next(0) is None, "nothing is sent before the receiver has said what it has"
    schedule.heard(address(row), have_for(asked, row, ((0, 1024), (2048, 3000))), 0, 0.5)
    assert schedule.next(0) == SendSegment(row.clip_id, 0, 1024)
    assert schedule.next(0) == SendSegment(row.clip_id, 2048, 952)
    closed = schedule.next(0)
    assert isinstance(closed, SendFin)
    assert closed.message.ask == 6
    assert schedule.next(0) is None


@pytest.mark.parametrize("segment_bytes", [1024, 1000, PIECE_BYTES, 4 * PIECE_BYTES])
@given(st.sets(st.integers(0, 400), max_size=40), st.integers(1, 401 * 1024))
@settings(max_examples=60, deadline=None)
def test_what_lies_in_the_first_piece_is_sent_last(segment_bytes: int, numbers: set[int], size: int) -> None:
    """All that is missing is sent, in whole segments, and the key of the clip when nothing else is left."""
    starts = sorted(number * segment_bytes for number in numbers if number * segment_bytes < size)
    missing = tuple((start, min(start + segment_bytes, size)) for start in starts)
    sent = key_last(missing, segment_bytes)
    assert all(
        start % segment_bytes == 0 and (end % segment_bytes == 0 or end == size) for start, end in sent
    )
    assert sorted(at for start, end in sent for at in range(start, end, segment_bytes)) == starts
    in_first = [start < PIECE_BYTES for start, _ in sent]
    assert in_first == sorted(in_first)


def test_a_range_that_begins_in_the_first_piece_is_cut_at_its_end() -> None:
    assert key_last(((0, 300_000),), PIECE_BYTES) == ((PIECE_BYTES, 300_000), (0, PIECE_BYTES))
    assert key_last(((0, 300_000),), 4 * PIECE_BYTES) == ((4 * PIECE_BYTES, 300_000), (0, 4 * PIECE_BYTES))
    assert key_last(((0, 900),), PIECE_BYTES) == ((0, 900),)
    assert key_last((), PIECE_BYTES) == ()


def test_where_more_may_be_missing_than_was_said_the_first_piece_waits() -> None:
    every_other = tuple((2 * at * PIECE_BYTES, (2 * at + 1) * PIECE_BYTES) for at in range(9))
    assert key_last(every_other, PIECE_BYTES, is_all=False) == every_other[1:]
    assert key_last(every_other, PIECE_BYTES) == (*every_other[1:], every_other[0])
    within = tuple((2 * at, 2 * at + 1) for at in range(9))
    assert key_last(within, 1, is_all=False) == within, "nothing else is missing"


@pytest.mark.parametrize("ranges", [RANGES_MAX - 1, RANGES_MAX])
def test_a_receiver_that_names_as_many_ranges_as_it_may_is_asked_again_before_the_first_piece_is_sent(
    ranges: int,
) -> None:
    region = MemoryRegion()
    row, _ = clip_of(1, size=2 * RANGES_MAX * 1024)
    schedule = Schedule(region.route(), LIMITS, 5)
    schedule.update([row])
    asked = schedule.next(0)
    assert asked is not None
    missing = tuple((2 * at * 1024, (2 * at + 1) * 1024) for at in range(ranges))
    schedule.heard(address(row), have_for(asked, row, missing), 0, 0.5)
    sent = []
    while isinstance(emission := schedule.next(0), SendSegment):
        sent.append(emission.offset)
    assert isinstance(emission, SendFin)
    is_all = ranges < RANGES_MAX
    assert (min(sent) < PIECE_BYTES) == is_all
    assert len(sent) == (ranges if is_all else ranges - PIECE_BYTES // 2048)
    if not is_all:
        first = tuple(one for one in missing if one[0] < PIECE_BYTES)
        schedule.heard(address(row), have_for(emission, row, first), 0, 0.5)
        assert schedule.next(0) == SendSegment(row.clip_id, 0, 1024)


def test_of_one_priority_the_most_valuable_goes_first_and_stops_nobody() -> None:
    def worth(number: int, value: float, **rest: int) -> ClipRow:
        return replace(clip_of(number, **rest)[0], worth=Worth(value, Valued.VALUED))

    limits = replace(LIMITS, active_clips=2)
    schedule = Schedule(MemoryRegion().route(), limits, 0)
    dull, good = worth(1, 0.25), worth(2, 0.5)
    schedule.update([dull, good, worth(3, 0.0), worth(4, 1.0, priority=-1)])
    assert [one.clip_id for one in (schedule.next(0), schedule.next(0)) if one] == [
        good.clip_id,
        dull.clip_id,
    ]
    best, important = worth(5, 0.9), worth(6, 0.0, priority=1)
    schedule.update([dull, good, best, important])
    found = schedule.next(0)
    assert found is not None
    assert found.clip_id == important.clip_id, "a higher priority always starts"
    assert schedule.next(0) is None, "a higher value waits for a place"
    schedule.done(dull.clip_id)
    schedule.done(important.clip_id)
    begun = schedule.next(0)
    assert begun is not None
    assert begun.clip_id == best.clip_id


@given(
    st.lists(st.tuples(st.integers(0, 40), st.integers(1, 5)), max_size=6),
    st.lists(st.integers(0, 9), min_size=1, max_size=60),
)
@settings(max_examples=60, deadline=None)
def test_segments_taken_together_are_those_that_come_one_by_one(
    gaps: list[tuple[int, int]], runs: list[int]
) -> None:
    """However they are taken: the question that ends a clip comes after all of them, and is never taken with them."""
    missing, at = [], 0
    for gap, count in gaps:
        at += gap + 1
        missing.append((at * 1024, (at + count) * 1024))
        at += count
    found = []
    for together in (False, True):
        row, _ = clip_of(1, size=1 << 20)
        schedule = Schedule(MemoryRegion().route(), LIMITS, 0)
        schedule.update([row])
        asked = schedule.next(0)
        assert isinstance(asked, SendInit)
        assert schedule.more(asked, 9) == []
        schedule.heard(address(row), have_for(asked, row, tuple(missing)), 0, 0.5)
        sent: list[Emission] = []
        for most in runs * 50:
            emission = schedule.next(0)
            if emission is None:
                break
            more = schedule.more(emission, most) if together else []
            assert len(more) <= most
            assert all(isinstance(each, SendSegment) for each in more)
            sent += [emission, *more]
        found.append(sent)
    assert found[0] == found[1]


def test_the_highest_priority_goes_first_and_then_the_oldest() -> None:
    region = MemoryRegion()
    rows = [clip_of(3)[0], clip_of(1)[0], clip_of(2, priority=9)[0]]
    schedule = Schedule(region.route(), LIMITS, 0)
    schedule.update(rows)
    order = [schedule.next(0) for _ in range(3)]
    assert [emission.clip_id[-1] for emission in order if emission] == ["2", "1", "3"]


def test_an_urgent_clip_starts_though_all_places_are_taken() -> None:
    region = MemoryRegion()
    schedule = Schedule(region.route(), LIMITS, 0)
    schedule.update([clip_of(number)[0] for number in range(1, 8)])
    started = [schedule.next(0) for _ in range(4)]
    assert all(started)
    assert schedule.next(0) is None, "four of one priority at a time"
    urgent, _ = clip_of(99, priority=1)
    schedule.update([urgent, *(clip_of(number)[0] for number in range(1, 8))])
    emission = schedule.next(0)
    assert emission is not None
    assert emission.clip_id == urgent.clip_id


def test_clips_of_other_regions_are_not_even_known() -> None:
    schedule = Schedule(MemoryRegion("eu").route(), LIMITS, 0)
    schedule.update([clip_of(1, region="cn")[0]])
    assert len(schedule) == 0
    assert schedule.next(0) is None


def test_an_answer_to_an_older_question_is_stale() -> None:
    row, _ = clip_of(1)
    schedule = Schedule(MemoryRegion().route(), LIMITS, 7)
    schedule.update([row])
    asked = schedule.next(0)
    assert isinstance(asked, SendInit)
    replay = encode(Have(v=1, ask=6, sha256=row.sha256, missing=((0, 1024),)))
    schedule.heard(address(row), replay, 0, 0.5)
    assert schedule.next(0) is None
    assert schedule.counts.stale_answers == 1


@pytest.mark.parametrize(
    "missing",
    [((0, 4096),), ((512, 1024),), ((0, 1000),), ((2048, 4096),), ((4096, 5120),)],
    ids=["beyond the end", "off the grid", "ends off the grid", "end rounded up", "outside"],
)
def test_impossible_ranges_change_nothing(missing: tuple[tuple[int, int], ...]) -> None:
    row, _ = clip_of(1)
    schedule = Schedule(MemoryRegion().route(), LIMITS, 0)
    schedule.update([row])
    asked = schedule.next(0)
    assert asked is not None
    schedule.heard(address(row), have_for(asked, row, missing), 0, 0.5)
    assert schedule.counts.bad_answers == 1
    assert schedule.next(0) is None


def test_silence_is_asked_again_and_nothing_is_given_up() -> None:
    row, _ = clip_of(1)
    schedule = Schedule(MemoryRegion().route(), LIMITS, 0)
    schedule.update([row])
    now = 0
    waits = []
    for _ in range(12):
        asked = schedule.next(now)
        assert isinstance(asked, SendInit)
        schedule.expire(now + 10**15, 0.99)
        assert schedule.counts.timeouts == len(waits), "time counts from the broker's acknowledgement"
        schedule.taken(asked, now)
        now += LIMITS.answer_timeout_ns
        schedule.expire(now, 0.99)
        assert schedule.next(now) is None
        waits.append(schedule.next_due_ns(now) - now)
        now = schedule.next_due_ns(now)
    assert waits[0] < waits[3] < waits[6]
    assert max(waits) <= LIMITS.retry.most_ns
    assert len(schedule) == 1


def test_a_receiver_that_never_gets_further_is_backed_off_from() -> None:
    row, _ = clip_of(1)
    schedule = Schedule(MemoryRegion().route(), LIMITS, 0)
    schedule.update([row])
    everything = ((0, 3000),)
    asked = schedule.next(0)
    assert asked is not None
    schedule.heard(address(row), have_for(asked, row, everything), 0, 0.5)
    for _ in range(3):
        assert isinstance(schedule.next(0), SendSegment)
    closed = schedule.next(0)
    assert closed is not None
    schedule.heard(address(row), have_for(closed, row, everything), 0, 0.5)
    assert schedule.next(0) is None, "the same ranges again: wait"
    due = schedule.next_due_ns(0)
    assert 0 < due <= LIMITS.retry.first_ns
    assert isinstance(schedule.next(due), SendInit)


def receipt_for(region: MemoryRegion, row: ClipRow, **change: object) -> bytes:
    fields: dict[str, object] = {
        "clip_id": row.clip_id,
        "region_id": "cn",
        "vehicle": "car-1",
        "sha256": row.sha256,
        "stored_wall_ns": 1,
    }
    return encode_receipt(Receipt(**(fields | change)), region.sample.receipt_key)  # type: ignore[arg-type]


def test_a_receipt_for_exactly_this_clip_is_a_decision_and_any_other_is_not() -> None:
    region, stranger = MemoryRegion(), MemoryRegion("eu")
    row, _ = clip_of(1)
    schedule = Schedule(region.route(), LIMITS, 0)
    schedule.update([row])
    bad = [
        receipt_for(region, row, sha256=bytes(32)),
        receipt_for(region, row, clip_id="f" * 32),
        receipt_for(region, row, region_id="eu"),
        receipt_for(region, row, vehicle="car-2"),
        receipt_for(stranger, row),
        b"",
        b"noise",
    ]
    for payload in bad:
        assert schedule.heard(address(row, DownKind.RECEIPT), payload, 0, 0.5) is None
        assert schedule.heard(address(row, DownKind.REFUSE), payload, 0, 0.5) is None
    assert schedule.heard(address(row, DownKind.REFUSE), receipt_for(region, row), 0, 0.5) is None
    assert schedule.counts.bad_receipts == 2 * len(bad) + 1
    good = receipt_for(region, row)
    decision = schedule.heard(address(row, DownKind.RECEIPT), good, 0, 0.5)
    assert isinstance(decision, Delivered)
    assert decision.envelope == good
    assert len(schedule) == 1, "until the journal has it"
    schedule.done(row.clip_id)
    assert len(schedule) == 0
    assert schedule.heard(address(row, DownKind.RECEIPT), good, 0, 0.5) is None
    assert schedule.counts.unknown_clips == 1


class Vehicle:
    """A sender over a channel whose faults are drawn from ``random``."""

    def __init__(self, route: Route, clips: dict[str, tuple[ClipRow, bytes]], chance: random.Random) -> None:
        self.route = route
        self.topics = Topics(route.policy.region_id, route.registration.vehicle)
        self.clips = dict(clips)
        self.chance = chance
        self.delivered: list[str] = []
        self.restart()

    def restart(self) -> None:
        self.schedule = Schedule(self.route, LIMITS, self.chance.getrandbits(32))
        self.schedule.update([row for row, _ in self.clips.values()])

    def render(self, emission: Emission) -> tuple[str, bytes]:
        if isinstance(emission, SendInit):
            return self.topics.init(emission.clip_id), encode(emission.message)
        if isinstance(emission, SendFin):
            return self.topics.fin(emission.clip_id), encode(emission.message)
        data = self.clips[emission.clip_id][1][emission.offset :][: emission.length]
        return self.topics.segment(emission.clip_id, emission.offset, hashlib.sha256(data).digest()), data

    def hear(self, topic: str, payload: bytes, now: int) -> None:
        parsed = self.topics.parse_down(topic)
        assert parsed is not None
        decision = self.schedule.heard(parsed, payload, now, self.chance.random())
        assert not isinstance(decision, Refused)
        if decision is not None:
            clip_id = decision.receipt.clip_id
            self.delivered.append(clip_id)
            del self.clips[clip_id]
            self.schedule.done(clip_id)


class Channel:
    """Loses, doubles and swaps, in both directions."""

    def __init__(self, chance: random.Random, loss: float, doubling: float) -> None:
        self.chance = chance
        self.loss = loss
        self.doubling = doubling
        self.wires: list[tuple[bool, str, bytes]] = []

    def send(self, up: bool, topic: str, payload: bytes) -> None:
        copies = (self.chance.random() >= self.loss) + (self.chance.random() < self.doubling)
        for _ in range(copies):
            self.wires.insert(self.chance.randint(0, len(self.wires)), (up, topic, payload))

    def arrive(self, vehicle: Vehicle, region: MemoryRegion, now: int) -> None:
        up, topic, payload = self.wires.pop(0)
        if not up:
            vehicle.hear(topic, payload, now)
            return
        for answer in region.handle(topic, payload):
            self.send(False, *answer)


def run_to_the_end(vehicle: Vehicle, region: MemoryRegion, channel: Channel, restarts: float) -> None:
    now, chance = 0, channel.chance
    for _ in range(20_000):
        if not vehicle.clips:
            return
        emission = vehicle.schedule.next(now)
        if emission is not None:
            vehicle.schedule.taken(emission, now)
            channel.send(True, *vehicle.render(emission))
        if channel.wires and (emission is None or chance.random() < 0.7):
            channel.arrive(vehicle, region, now)
        elif emission is None:
            now = max(now + 1, vehicle.schedule.next_due_ns(now))
            vehicle.schedule.expire(now, chance.random())
        if chance.random() < restarts:
            fault = chance.randrange(3)
            if fault == 0:
                vehicle.restart()
            elif fault == 1:
                region.restart()
            else:
                vehicle.schedule.disconnected(now)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 6), st.floats(0, 0.3), st.floats(0, 0.3), st.floats(0, 0.03))
def test_every_clip_arrives_once_and_whole(
    seed: int, count: int, loss: float, doubling: float, restarts: float
) -> None:
    """Both sides restart, the receiver without what it had, and the broker acknowledges what is lost."""
    chance = random.Random(seed)
    region = MemoryRegion()
    clips = {
        row.clip_id: (row, data)
        for row, data in (clip_of(number, chance.randint(1, 9000)) for number in range(1, count + 1))
    }
    vehicle = Vehicle(region.route(), clips, chance)
    run_to_the_end(vehicle, region, Channel(chance, loss, doubling), restarts)
    assert not vehicle.clips, "every clip was delivered"
    assert sorted(vehicle.delivered) == sorted(clips)
    assert region.stores == len(clips)
    assert {clip_id: data for (_, clip_id), data in region.stored.items()} == {
        clip_id: data for clip_id, (_, data) in clips.items()
    }


def test_many_clips_that_never_get_an_answer_do_not_keep_a_new_one_from_its_turn() -> None:
    """As when a region has lost the key that they are sealed to: it holds them in silence, for weeks."""
    schedule = Schedule(MemoryRegion().route(), LIMITS, 0)
    schedule.update([clip_of(number, priority=5)[0] for number in range(200)])
    now = 0
    asked: set[str] = set()

    def silence(until_ns: int) -> None:
        nonlocal now
        while now < until_ns:
            while (emission := schedule.next(now)) is not None:
                asked.add(emission.clip_id)
                schedule.taken(emission, now)
            now += SECOND
            schedule.expire(now, 0.0)

    silence(4000 * SECOND)
    assert len(asked) == 200
    new = clip_of(1000)[0]
    schedule.update([*(clip_of(number, priority=5)[0] for number in range(200)), new])
    first = schedule.next(now)
    assert first is not None
    assert first.clip_id == new.clip_id
    assert schedule.failing == 200


def test_what_failed_still_gets_its_turn_beside_what_did_not() -> None:
    schedule = Schedule(MemoryRegion().route(), LIMITS, 0)
    failed = clip_of(1)[0]
    schedule.update([failed])
    schedule.next(0)
    schedule.postpone(failed.clip_id, 0, 0.0)
    rows = [clip_of(number)[0] for number in range(2, 12)]
    schedule.update([failed, *rows])
    now = 10 * SECOND
    started = []
    while (emission := schedule.next(now)) is not None:
        started.append(emission.clip_id)
    assert started == [*(row.clip_id for row in rows[:4]), failed.clip_id]
