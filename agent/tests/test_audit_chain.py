"""Whatever is done to a ledger's files is found, and the record is named."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fsd_agent.adapters.ledger_disk import segment_paths
from fsd_agent.adapters.ledger_files import LedgerFiles
from fsd_agent.records.ledger import Entry, Head
from fsd_agent.rules.audit.chain import Examined, examine, told_findings
from fsd_agent.rules.audit.findings import Finding
from fsd_agent.rules.audit.merkle import leaf_hash, verify_consistency, verify_inclusion
from fsd_agent.rules.audit.writer import LedgerLimits
from fsd_agent.testing.clock import ManualClock
from fsd_agent.testing.decisions import Decisions, clip_id_of
from fsd_agent.testing.events import RememberedEvents
from fsd_agent.testing.regions import sample_region
from fsd_agent.testing.vehicle_keys import MemoryVehicleKeys
from fsd_agent.wire.ledger import (
    LedgerFormatError,
    Signed,
    decode_entry,
    decode_head,
    encode_entry,
    sign_value,
)
from fsd_agent.wire.ledger_file import (
    HEAD,
    RECORD,
    Frame,
    encode_frame,
    encode_start,
    read_segment,
)

KEYS, OTHER = MemoryVehicleKeys(), MemoryVehicleKeys("another car")
KNOWN = {KEYS.device_key_id(): KEYS.device_public_key}
DO = Decisions(sample_region("cn"))
NAME = f"{0:020}.ledger"
CLIPS = 20


@cache
def whole_file() -> bytes:
    """One file: a start, twenty lives of nine records, a head every 64 records and at the end; 181 records."""
    with tempfile.TemporaryDirectory() as folder:
        ledger = LedgerFiles(Path(folder), keys=KEYS, clock=ManualClock(), events=RememberedEvents())
        for number in range(CLIPS):
            ledger.append(*DO.life(clip_id_of(number)))
        ledger.close()
        (path,) = segment_paths(Path(folder))
        return path.read_bytes()


@pytest.fixture
def whole() -> bytes:
    """Not for property tests, which would print it."""
    return whole_file()


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, bytes]]:
    """The same in several files."""
    folder = tmp_path_factory.mktemp("segments")
    limits = LedgerLimits(segment_bytes=10_000)
    ledger = LedgerFiles(folder, keys=KEYS, clock=ManualClock(), events=RememberedEvents(), limits=limits)
    for number in range(CLIPS):
        ledger.append(*DO.life(clip_id_of(number)))
    ledger.close()
    return [(path.name, path.read_bytes()) for path in segment_paths(folder)]


def checked(*files: tuple[str, bytes]) -> Examined:
    return examine([(name, read_segment(data)) for name, data in files], KNOWN)


def found(data: bytes) -> list[Finding]:
    return checked((NAME, data)).findings


def said_of(data: bytes) -> list[str]:
    """Findings, or why it is no segment at all."""
    try:
        return [str(one) for one in found(data)]
    except LedgerFormatError as error:
        return [str(error)]


def named(data: bytes) -> set[tuple[str, int | None]]:
    return {(str(one.kind), one.number) for one in found(data)}


def frames_of(data: bytes) -> tuple[bytes, list[Frame]]:
    segment = read_segment(data)
    return encode_start(segment.checkpoint), list(segment.frames)


def record_frames(data: bytes) -> list[Frame]:
    return [frame for frame in frames_of(data)[1] if frame.kind == RECORD]


def joined(start: bytes, frames: Sequence[Frame]) -> bytes:
    return start + b"".join(frame.signed + frame.check for frame in frames)


def edited(data: bytes, edit: Callable[[list[Frame]], None]) -> bytes:
    start, frames = frames_of(data)
    edit(frames)
    return joined(start, frames)


def at(frames: Sequence[Frame], number: int) -> int:
    """Index of a record's frame."""
    return next(
        i for i, one in enumerate(frames) if one.kind == RECORD and decode_entry(one.body).number == number
    )


def rechained(
    data: bytes, change: dict[int, bytes], *, keep_heads: bool = True, keys: MemoryVehicleKeys | None = None
) -> bytes:
    """Records replaced, and every check behind them made anew, as somebody who knows the format can."""
    start, frames = frames_of(data)
    chain, out, size = bytes(32), [start], 0
    for frame in frames:
        if frame.kind == RECORD:
            body = change.get(size, frame.body)
            made, chain = encode_frame(RECORD, body, chain, frame.confirmed)
            out.append(made)
            size += 1
        elif keep_heads:
            head = decode_head(frame.body)
            if keys is not None:
                value = Head(size, head.value.root, chain, head.value.wall_ns, keys.device_key_id())
                head = sign_value(value, keys.sign)
            out.append(
                encode_frame(HEAD, head.encode(), chain if keys else head.value.chain, frame.confirmed)[0]
            )
    return b"".join(out)


def test_an_untouched_ledger_holds(whole: bytes, files: list[tuple[str, bytes]]) -> None:
    assert not found(whole)
    one, many = checked((NAME, whole)), checked(*files)
    assert not many.findings
    assert len(files) > 3
    assert one.size == many.size == one.signed_size == 1 + 9 * CLIPS
    assert one.leaves == many.leaves


def test_every_flipped_byte_of_a_record_names_it(whole: bytes) -> None:
    frame = record_frames(whole)[100]
    for offset in range(frame.offset, frame.end):
        damaged = bytearray(whole)
        damaged[offset] ^= 0x01
        said = found(bytes(damaged))
        assert 100 in {one.number for one in said}, offset - frame.offset
        assert {one.number for one in said} <= {100, None}, offset - frame.offset
        assert all(one.file == NAME for one in said)


def test_every_flipped_byte_of_a_head_or_checkpoint_is_said(whole: bytes) -> None:
    start, frames = frames_of(whole)
    head = next(frame for frame in frames if frame.kind == HEAD)
    behind = decode_head(head.body).value.size - 1
    for offset in range(head.offset, head.end):
        damaged = bytearray(whole)
        damaged[offset] ^= 0x01
        said = named(bytes(damaged))
        assert said & {("bad_signature", behind), ("unreadable", None)}, offset - head.offset
    for offset in range(12, len(start)):
        damaged = bytearray(whole)
        damaged[offset] ^= 0x01
        assert said_of(bytes(damaged)), offset


@settings(max_examples=200)
@given(st.integers(0, 10**9), st.integers(1, 255))
def test_no_byte_can_be_changed(where: int, by: int) -> None:
    whole = whole_file()
    damaged = bytearray(whole)
    damaged[where % len(whole)] ^= by
    assert said_of(bytes(damaged))


@settings(max_examples=60)
@given(st.integers(1, 179), st.integers(1, 12))
def test_removed_records_are_named(first: int, count: int) -> None:
    whole = whole_file()
    last = min(first + count - 1, 179)

    def remove(frames: list[Frame]) -> None:
        del frames[at(frames, first) : at(frames, last) + 1]

    said = found(edited(whole, remove))
    (gap,) = [one for one in said if one.kind == "missing"]
    assert gap.number == first
    which = f"record {first}:" if first == last else f"records {first} to {last}:"
    assert gap.detail.startswith(which)
    assert all(one.kind in {"missing", "unsigned"} for one in said)


@settings(max_examples=100)
@given(st.integers(0, 180), st.integers(0, 180))
def test_two_records_that_changed_places_are_named(one: int, other: int) -> None:
    whole = whole_file()

    def swap(frames: list[Frame]) -> None:
        a, b = at(frames, one), at(frames, other)
        frames[a], frames[b] = frames[b], frames[a]

    said = found(edited(whole, swap))
    moved = {finding.number for finding in said if finding.kind == "reordered"}
    if one == other:
        assert not said
    elif abs(one - other) == 1:
        assert moved in ({one}, {other})
    else:
        assert moved == {one, other}


@settings(max_examples=30)
@given(st.integers(0, 180), st.integers(0, 180))
def test_a_repeated_record_is_named(number: int, behind: int) -> None:
    whole = whole_file()
    said = named(
        edited(whole, lambda frames: frames.insert(at(frames, behind) + 1, frames[at(frames, number)]))
    )
    assert ("repeated", number) in said or ("reordered", number) in said
    assert ("repeated", number) in said


def test_a_changed_record_with_a_new_chain_is_placed_between_two_heads(whole: bytes) -> None:
    entry = decode_entry(record_frames(whole)[100].body)
    body = encode_entry(Entry(100, entry.wall_ns + 1, entry.mono_ns, entry.fact))
    said = found(rechained(whole, {100: body}))
    assert [(str(one.kind), one.number) for one in said] == [("not_as_signed", 64), ("not_as_signed", 128)]
    assert "records 64 to 127" in said[0].detail


def test_a_changed_record_without_any_head_is_unsigned(whole: bytes) -> None:
    entry = decode_entry(record_frames(whole)[100].body)
    body = encode_entry(Entry(100, 5, entry.mono_ns, entry.fact))
    said = found(rechained(whole, {100: body}, keep_heads=False))
    assert [str(one.kind) for one in said] == ["unsigned"]


def test_another_key_is_named(whole: bytes) -> None:
    said = found(rechained(whole, {}, keys=OTHER))
    assert {str(one.kind) for one in said} == {"bad_signature", "unsigned"}
    assert all(OTHER.device_key_id() in one.detail for one in said if one.kind == "bad_signature")


def test_a_moved_head_is_named(whole: bytes) -> None:
    def move(frames: list[Frame]) -> None:
        index = next(i for i, frame in enumerate(frames) if frame.kind == HEAD)
        frames.insert(index + 5, frames.pop(index))

    said = [one for one in found(edited(whole, move)) if one.kind == "bad_signature"]
    assert len(said) == 1
    assert "record 63: it was moved" in said[0].detail


def test_a_cut_is_found_by_what_a_region_was_told(whole: bytes, files: list[tuple[str, bytes]]) -> None:
    heads = [decode_head(frame.body) for frame in frames_of(whole)[1] if frame.kind == HEAD]
    told = [(f"head {head.value.size}", head) for head in heads]

    def against(examined: Examined) -> list[Finding]:
        return [*told_findings(examined, told, KNOWN)]

    assert not against(checked((NAME, whole)))
    # Cut right behind a head: nothing in the file shows it.
    start, frames = frames_of(whole)
    index = next(i for i, frame in enumerate(frames) if frame.kind == HEAD)
    cut = checked((NAME, joined(start, frames[: index + 1])))
    assert not cut.findings
    assert [(str(one.kind), one.number) for one in against(cut)] == [("not_as_told", 64), ("not_as_told", 64)]
    # Cut in front of the last head: the head that is left says what is missing.
    said = named(joined(start, [*frames[:150], frames[-1]]))
    assert ("missing", 148) in said
    # Another history, soundly signed by the device itself: what was told is not forgotten.
    forged = checked(*files)
    forged.leaves[10] = leaf_hash(b"another record")
    assert {str(one.kind) for one in against(forged)} == {"not_as_told"}
    foreign = [("head", sign_value(heads[0].value, OTHER.sign))]
    assert [str(one.kind) for one in told_findings(forged, foreign, KNOWN)] == ["bad_signature"]


@pytest.mark.parametrize("index", [0, 1, 2])
def test_a_removed_file_is_named_by_its_records(files: list[tuple[str, bytes]], index: int) -> None:
    left = [file for number, file in enumerate(files) if number != index]
    said = checked(*left).findings
    (gap,) = [one for one in said if one.kind == "missing"]
    first = int(files[index][0][:20])
    assert gap.number == first
    assert f"records {first} to {int(files[index + 1][0][:20]) - 1}" in gap.detail


def test_damage_in_one_file_leaves_the_others_provable(files: list[tuple[str, bytes]]) -> None:
    name, data = files[1]
    frame = record_frames(data)[3]
    damaged = bytearray(data)
    damaged[frame.offset + 40] ^= 1
    examined = checked(files[0], (name, bytes(damaged)), *files[2:])
    assert [(str(one.kind), one.number, one.file) for one in examined.findings] == [
        ("changed", int(name[:20]) + 3, name)
    ]
    assert len(examined.records) == 1 + 9 * CLIPS - 1


def test_a_segment_of_another_history_does_not_join(files: list[tuple[str, bytes]], tmp_path: Path) -> None:
    limits = LedgerLimits(segment_bytes=10_000)
    clock = ManualClock(monotonic_ns=1)
    ledger = LedgerFiles(tmp_path, keys=KEYS, clock=clock, events=RememberedEvents(), limits=limits)
    for number in range(CLIPS):
        ledger.append(*DO.life(clip_id_of(number)))
    ledger.close()
    other = [(path.name, path.read_bytes()) for path in segment_paths(tmp_path)]
    said = checked(*files[:2], *other[2:]).findings
    assert ("not_as_signed", files[2][0]) in {(str(one.kind), one.file) for one in said}


def test_what_is_in_the_ledger_can_be_shown_by_itself(whole: bytes) -> None:
    examined = checked((NAME, whole))
    heads = [decode_head(frame.body) for frame in frames_of(whole)[1] if frame.kind == HEAD]
    old, new = heads[0].value, heads[-1].value
    tree = examined.tree()
    path = tree.inclusion(70, new.size)
    assert verify_inclusion(leaf_hash(record_frames(whole)[70].body), 70, new.size, path, new.root)
    assert verify_consistency(old.size, new.size, old.root, new.root, tree.consistency(old.size, new.size))
    assert isinstance(heads[0], Signed)


def test_no_file_at_all_is_a_finding() -> None:
    assert [str(one.kind) for one in checked().findings] == ["no_ledger"]


@settings(max_examples=150)
@given(st.data())
def test_whatever_is_cut_out_doubled_or_moved_is_found(data: st.DataObject) -> None:
    """Also in the middle of frames; and nothing makes the audit itself fail."""
    whole = whole_file()
    start = len(frames_of(whole)[0])
    where = st.integers(start, len(whole))
    made = whole
    for _ in range(data.draw(st.integers(1, 3))):
        a, b, c = sorted(min(data.draw(where), len(made)) for _ in range(3))
        edit = data.draw(st.sampled_from(["remove", "double", "move", "noise", "zeros"]))
        part = {
            "remove": b"",
            "double": made[a:b] * 2,
            "move": made[b:c] + made[a:b],
            "noise": made[b:c][::-1],
            "zeros": bytes(b - a),
        }[edit]
        made = made[:a] + part + made[c if edit in {"move", "noise"} else b :]
    examined = checked((NAME, made))
    told = decode_head(frames_of(whole)[1][-1].body)
    assert (made == whole) == (
        not examined.findings and not [*told_findings(examined, [("head", told)], KNOWN)]
    )
