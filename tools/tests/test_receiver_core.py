"""The receiver without a network: what it stores, what it signs, what it refuses, and what it never leaves behind."""

from __future__ import annotations

import hashlib
import io
import json
import os
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mcap.writer import CompressionType, Writer

from fsd_agent.adapters.key_files import KeyFiles
from fsd_agent.pipeline.deliver import Deliverer
from fsd_agent.records.clip import ClipRow, ClipState
from fsd_agent.records.purpose import Purpose
from fsd_agent.records.region import Route
from fsd_agent.rules.uplink.transfer import UplinkLimits
from fsd_agent.testing.broker import MemoryBroker, MemoryConnection
from fsd_agent.testing.clock import ManualClock
from fsd_agent.testing.compartments import at, keyed
from fsd_agent.testing.consent import PlainConsent
from fsd_agent.testing.events import RememberedEvents
from fsd_agent.testing.journal import MemoryJournal
from fsd_agent.testing.ledger import MemoryLedger
from fsd_agent.testing.regions import sample_redacted_clip, sample_region, sample_registration
from fsd_agent.testing.sealed import as_file, seal_bytes, sealed_sample
from fsd_agent.testing.spool import MemorySpool
from fsd_agent.testing.unlimited import AlwaysOn, OpenGate
from fsd_agent.testing.vehicle_keys import MemoryVehicleKeys
from fsd_agent.wire.clip import decode_clip, encode_clip
from fsd_agent.wire.clip_contents import MAX_RECORD_BYTES
from fsd_agent.wire.clip_messages import encode_about, encode_entry
from fsd_agent.wire.pieces import FileIdentity
from fsd_agent.wire.policy import decode_policy
from fsd_agent.wire.receipt import verify_receipt
from fsd_agent.wire.refusal import RefusalReason, verify_refusal
from fsd_agent.wire.transfer import (
    CLIP_BYTES_MAX,
    DownKind,
    Fin,
    Have,
    Init,
    Topics,
    decode,
    encode,
    receiver_subscription,
)
from fsd_agent.wire.verdict import VerdictError
from fsd_firmware.catalogue import CatalogueEntry
from fsd_tools.main import main
from fsd_tools.region.incoming import TRANSFERS_MAX
from fsd_tools.region.layout import RegionDir
from fsd_tools.region.operator import load_policy
from fsd_tools.region.receiver import Receiver
from fsd_tools.region.retention import expire
from fsd_tools.region.store import ClipStore

CLIP = "0123456789abcdef" * 2
GRID = 1024
SECOND = 1_000_000_000


@dataclass
class Yard:
    """A region on disk, one enrolled vehicle, and a receiver that can be started again."""

    region: RegionDir
    keys: KeyFiles
    told: list[tuple[str, dict[str, str | int]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        policy = decode_policy(self.region.policy.read_bytes(), "policy")
        self.route = Route(sample_registration("car-1", "CN"), policy)
        self.topics = Topics("cn", "car-1")
        self.start()

    def start(self) -> None:
        self.receiver = Receiver(
            self.region, wall_ns=lambda: 1_700, on_event=lambda name, fields: self.told.append((name, fields))
        )

    def handle(self, topic: str, payload: bytes) -> list[tuple[str, bytes]]:
        """By the receiver that runs at the moment."""
        return self.receiver.handle(topic, payload)

    def names(self) -> list[str]:
        return [name for name, _ in self.told]

    def question(
        self, kind: type[Init | Fin], data: bytes, clip: str = CLIP, *, size: int | None = None
    ) -> list[tuple[str, bytes]]:
        whole = hashlib.sha256(data).digest()
        size = len(data) if size is None else size
        message = kind(v=1, ask=7, size=size, sha256=whole, segment_bytes=GRID)
        topic = self.topics.init(clip) if kind is Init else self.topics.fin(clip)
        return self.receiver.handle(topic, encode(message))

    def segments(self, data: bytes, clip: str = CLIP) -> None:
        for offset in range(0, len(data), GRID):
            assert self.segment(offset, data[offset : offset + GRID], clip) == []

    def segment(self, offset: int, part: bytes, clip: str = CLIP) -> list[tuple[str, bytes]]:
        """Named by the hash that these very bytes have."""
        return self.handle(self.topics.segment(clip, offset, hashlib.sha256(part).digest()), part)

    def send(self, data: bytes, clip: str = CLIP) -> list[tuple[str, bytes]]:
        self.question(Init, data, clip)
        self.segments(data, clip)
        return self.question(Fin, data, clip)

    def stored(self) -> list[str]:
        """Every file below the store, whatever its name."""
        return sorted(
            str(p.relative_to(self.region.store)) for p in self.region.store.rglob("*") if p.is_file()
        )

    def refusal(self, answers: list[tuple[str, bytes]], data: bytes, clip: str = CLIP) -> RefusalReason:
        ((topic, payload),) = answers
        assert topic == self.topics.down(DownKind.REFUSE, clip)
        return verify_refusal(
            payload,
            self.route.policy.receipt_public_keys,
            clip_id=clip,
            region_id="cn",
            vehicle="car-1",
            sha256=hashlib.sha256(data).digest(),
        ).reason

    def check_receipt(self, answers: list[tuple[str, bytes]], data: bytes, clip: str = CLIP) -> None:
        ((topic, payload),) = answers
        assert topic == self.topics.down(DownKind.RECEIPT, clip)
        verify_receipt(
            payload,
            self.route.policy.receipt_public_keys,
            clip_id=clip,
            region_id="cn",
            vehicle="car-1",
            sha256=hashlib.sha256(data).digest(),
        )


def make_yard(folder: Path) -> Yard:
    assert main(["region", "init", str(folder / "cn"), "--id", "cn", "--jurisdiction", "CN"]) == 0
    assert (
        main(["vehicle", "enrol", str(folder / "cn"), "--vehicle", "car-1", "-o", str(folder / "car")]) == 0
    )
    return Yard(RegionDir(folder / "cn"), KeyFiles(folder / "car"))


@pytest.fixture
def yard(tmp_path: Path) -> Yard:
    return make_yard(tmp_path)


@pytest.fixture
def sealed(yard: Yard) -> bytes:
    return sealed_sample(yard.route, yard.keys, CLIP, filler_bytes=9000)


def have(answers: list[tuple[str, bytes]]) -> tuple[tuple[int, int], ...]:
    ((_, payload),) = answers
    return decode(Have, payload).missing


def test_a_clip_is_opened_stored_and_receipted_and_opens_as_mcap(yard: Yard, sealed: bytes) -> None:
    answers = yard.send(sealed)
    yard.check_receipt(answers, sealed)
    assert yard.stored() == [f"car-1/{CLIP}.json", f"car-1/{CLIP}.mcap"]
    path = yard.region.store / "car-1" / f"{CLIP}.mcap"
    assert decode_clip(path.read_bytes()).clip_id == CLIP
    facts = json.loads(path.with_suffix(".json").read_text())
    assert facts["sealed_sha256"] == hashlib.sha256(sealed).hexdigest()
    assert facts["manifest"]["vehicle"] == "car-1"
    assert facts["clip_bytes"] == path.stat().st_size
    assert not list(yard.region.incoming.rglob("*.*"))
    assert yard.names() == ["stored"]


def test_asked_again_it_answers_with_the_same_receipt_and_stores_nothing(yard: Yard, sealed: bytes) -> None:
    first = yard.send(sealed)
    path = yard.region.store / "car-1" / f"{CLIP}.mcap"
    before = path.stat()
    yard.start()
    assert yard.question(Init, sealed) == first
    yard.segments(sealed)
    assert yard.question(Fin, sealed) == first
    assert path.stat().st_mtime_ns == before.st_mtime_ns
    assert yard.names() == ["stored"]


def test_missing_parts_are_named_and_survive_a_restart(yard: Yard, sealed: bytes) -> None:
    assert have(yard.question(Init, sealed)) == ((0, len(sealed)),)
    yard.segment(GRID, sealed[GRID : 2 * GRID])
    yard.segment(3 * GRID, sealed[3 * GRID : 4 * GRID])
    expected = ((0, GRID), (2 * GRID, 3 * GRID), (4 * GRID, len(sealed)))
    assert have(yard.question(Fin, sealed)) == expected
    yard.start()
    assert have(yard.question(Init, sealed)) == expected
    yard.segments(sealed)
    yard.start()
    yard.check_receipt(yard.question(Fin, sealed), sealed)


def test_segments_that_were_marked_and_lost_in_a_power_cut_are_asked_for_again(
    yard: Yard, sealed: bytes
) -> None:
    yard.question(Init, sealed)
    yard.segments(sealed)
    with (yard.region.incoming / "car-1" / f"{CLIP}.part").open("r+b") as part:
        part.seek(GRID)
        part.write(bytes(GRID))
    yard.start()
    assert have(yard.question(Fin, sealed)) == ((0, len(sealed)),)
    assert yard.names() == ["damaged"]
    assert yard.stored() == []
    yard.segments(sealed)
    yard.check_receipt(yard.question(Fin, sealed), sealed)


def test_a_segment_changed_on_its_way_is_not_written_and_costs_that_segment_alone(
    yard: Yard, sealed: bytes
) -> None:
    yard.question(Init, sealed)
    yard.segments(sealed[:GRID])
    good = sealed[GRID : 2 * GRID]
    topic = yard.topics.segment(CLIP, GRID, hashlib.sha256(good).digest())
    part = yard.region.incoming / "car-1" / f"{CLIP}.part"
    before = part.read_bytes()
    for number in range(3):
        changed = bytearray(good)
        changed[number * 500] ^= 1
        assert yard.handle(topic, bytes(changed)) == []
    assert yard.told == [("damaged", {"vehicle": "car-1", "clip": CLIP, "offset": GRID})] * 3
    assert part.read_bytes() == before
    assert have(yard.question(Fin, sealed)) == ((GRID, len(sealed)),)
    yard.handle(topic, good)
    yard.segments(sealed)
    yard.check_receipt(yard.question(Fin, sealed), sealed)


@pytest.mark.parametrize("name", [".part", ".have"])
def test_a_torn_sidecar_starts_the_transfer_again(yard: Yard, sealed: bytes, name: str) -> None:
    yard.question(Init, sealed)
    yard.segments(sealed)
    os.truncate(yard.region.incoming / "car-1" / f"{CLIP}{name}", 20)
    yard.start()
    assert have(yard.question(Init, sealed)) == ((0, len(sealed)),)
    yard.check_receipt(yard.send(sealed), sealed)


def test_another_clip_under_a_stored_id_is_refused_and_the_stored_one_stays(
    yard: Yard, sealed: bytes
) -> None:
    yard.send(sealed)
    before = (yard.region.store / "car-1" / f"{CLIP}.mcap").read_bytes()
    other = sealed_sample(yard.route, yard.keys, CLIP, filler_bytes=100)
    assert yard.refusal(yard.question(Init, other), other) is RefusalReason.ID_TAKEN
    assert yard.refusal(yard.send(other), other) is RefusalReason.ID_TAKEN
    assert (yard.region.store / "car-1" / f"{CLIP}.mcap").read_bytes() == before


def _other_clip(yard: Yard) -> bytes:
    return sealed_sample(yard.route, yard.keys, "f" * 32)


def _other_vehicle(yard: Yard) -> bytes:
    return sealed_sample(Route(sample_registration("car-2", "CN"), yard.route.policy), yard.keys, CLIP)


def _other_region(yard: Yard) -> bytes:
    return sealed_sample(sample_region("eu", ("DE",)).route(), yard.keys, CLIP)


def _no_clip(yard: Yard) -> bytes:
    return seal_bytes(yard.route, yard.keys, CLIP, b"this is no MCAP file")


def _clip_of_another_id(yard: Yard) -> bytes:
    inside = encode_clip(sample_redacted_clip("f" * 32), vehicle="car-1", provenance={})
    return seal_bytes(yard.route, yard.keys, CLIP, inside)


def _flipped(yard: Yard) -> bytes:
    data = bytearray(sealed_sample(yard.route, yard.keys, CLIP, filler_bytes=5000))
    data[-100] ^= 1
    return bytes(data)


def _truncated(yard: Yard) -> bytes:
    return sealed_sample(yard.route, yard.keys, CLIP, filler_bytes=90_000)[:-70_000]


def _unsigned(yard: Yard) -> bytes:
    data = bytearray(sealed_sample(yard.route, yard.keys, CLIP))
    data[12 + int.from_bytes(data[8:12], "big")] ^= 1
    return bytes(data)


def _noise(_yard: Yard) -> bytes:
    return random.Random(1).randbytes(5000)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (_other_clip, RefusalReason.WRONG_OWNER),
        (_other_vehicle, RefusalReason.WRONG_OWNER),
        (_other_region, RefusalReason.WRONG_OWNER),
        (_no_clip, RefusalReason.NOT_A_CLIP),
        (_clip_of_another_id, RefusalReason.NOT_A_CLIP),
        (_flipped, RefusalReason.NOT_OPENABLE),
        (_truncated, RefusalReason.NOT_OPENABLE),
        (_unsigned, RefusalReason.NOT_OPENABLE),
        (_noise, RefusalReason.NOT_OPENABLE),
    ],
)
def test_what_can_never_be_a_clip_of_this_vehicle_is_refused_and_leaves_nothing(
    yard: Yard, make: Callable[[Yard], bytes], reason: RefusalReason
) -> None:
    data = make(yard)
    assert yard.refusal(yard.send(data), data) is reason
    assert yard.stored() == []
    assert not list(yard.region.incoming.rglob("*.*"))
    assert yard.names() == ["refused"]


def _unknown_device(yard: Yard) -> bytes:
    return sealed_sample(yard.route, MemoryVehicleKeys("stranger"), CLIP)


def test_a_rotated_sealing_key_loses_no_clip(yard: Yard) -> None:
    """Sealed to the old key before the new policy arrived, and to the new one after it: both are opened."""
    root = str(yard.region.root)
    old = sealed_sample(yard.route, yard.keys, CLIP)
    assert main(["region", "policy", "rotate", root, "--key", "sealing"]) == 0
    assert main(["region", "policy", "sign", root]) == 0
    yard.start()
    yard.check_receipt(yard.send(old), old)
    after = Route(yard.route.registration, load_policy(yard.region))
    assert after.policy.sealing_key_id != yard.route.policy.sealing_key_id
    new = sealed_sample(after, yard.keys, "e" * 32)
    yard.check_receipt(yard.send(new, "e" * 32), new, "e" * 32)
    yard.region.retired_sealing_key(yard.route.policy.sealing_key_id).unlink()
    yard.start()
    last = sealed_sample(yard.route, yard.keys, "f" * 32)
    assert yard.send(last, "f" * 32) == []
    assert yard.told[-1][0] == "held", "not refused for good: the key may be found again"


def test_a_rotated_receipt_key_is_believed_once_the_policy_has_arrived(yard: Yard) -> None:
    root = str(yard.region.root)
    assert main(["region", "policy", "rotate", root, "--key", "receipt"]) == 0
    assert main(["region", "policy", "sign", root]) == 0
    yard.start()
    data = sealed_sample(yard.route, yard.keys, CLIP)
    answers = yard.send(data)
    with pytest.raises(VerdictError):
        yard.check_receipt(answers, data)
    yard.route = Route(yard.route.registration, load_policy(yard.region))
    yard.check_receipt(yard.question(Init, data), data)


def _unknown_sealing_key(yard: Yard) -> bytes:
    return sealed_sample(sample_region("cn").route(), yard.keys, CLIP)


def _newer_format(yard: Yard) -> bytes:
    return b"FSDSEAL2" + sealed_sample(yard.route, yard.keys, CLIP)[8:]


@pytest.mark.parametrize("make", [_unknown_device, _unknown_sealing_key, _newer_format])
def test_what_only_our_own_setup_stands_in_the_way_of_is_held(
    yard: Yard, make: Callable[[Yard], bytes]
) -> None:
    """A region that lost a key, or runs old software, must not make its vehicles erase anything."""
    assert yard.send(make(yard)) == []
    assert yard.stored() == []
    assert yard.names() == ["held"]


def test_a_vehicle_that_is_not_enrolled_is_not_answered_and_gets_no_disk(yard: Yard, sealed: bytes) -> None:
    yard.topics = Topics("cn", "car-9")
    assert yard.send(sealed) == []
    assert not (yard.region.incoming / "car-9").exists()
    assert set(yard.names()) == {"held"}


def test_a_broken_enrolment_file_is_told_and_stops_nobody(yard: Yard, sealed: bytes) -> None:
    good = yard.region.vehicle("car-1").read_bytes()
    yard.region.vehicle("car-1").write_text("broken")
    assert yard.send(sealed) == []
    assert set(yard.names()) == {"held"}
    yard.region.vehicle("car-1").write_bytes(good)
    yard.check_receipt(yard.send(sealed), sealed)


def test_a_full_disk_is_told_and_the_clip_is_taken_later(yard: Yard, sealed: bytes) -> None:
    yard.question(Init, sealed)
    yard.segments(sealed)
    folder = yard.region.store / "car-1"
    folder.write_bytes(b"")  # What stands where the folder should be has the same effect as no space
    assert yard.question(Fin, sealed) == []
    assert yard.names() == ["held"]
    folder.unlink()
    yard.check_receipt(yard.question(Fin, sealed), sealed)


def test_a_clip_beyond_the_limit_is_refused_before_it_takes_any_disk(yard: Yard) -> None:
    data = b"x"
    answers = yard.question(Init, data, size=CLIP_BYTES_MAX + 1)
    assert yard.refusal(answers, data) is RefusalReason.TOO_LARGE
    assert not list(yard.region.incoming.rglob("*.*"))


def test_transfers_of_a_vehicle_are_bounded_and_the_one_untouched_for_longest_goes(yard: Yard) -> None:
    clips = [f"{number:032x}" for number in range(TRANSFERS_MAX + 3)]
    for clip in clips:
        yard.question(Init, b"a" * 3000, clip)
        yard.question(Init, b"a" * 3000, clips[0])
    left = {path.stem for path in yard.region.incoming.rglob("*.have")}
    assert len(left) == TRANSFERS_MAX
    assert clips[0] in left
    assert clips[-1] in left
    assert clips[1] not in left


@pytest.mark.parametrize(
    ("offset", "length"), [(0, 10), (0, GRID + 1), (1, GRID), (10**9 * GRID, GRID), (8 * GRID, GRID)]
)
def test_a_segment_that_does_not_fit_changes_nothing(
    yard: Yard, sealed: bytes, offset: int, length: int
) -> None:
    yard.question(Init, sealed)
    assert yard.segment(offset, bytes(length)) == []
    fits = offset == 8 * GRID and len(sealed) >= 9 * GRID
    assert (yard.names() == []) is fits
    if not fits:
        assert have(yard.question(Init, sealed)) == ((0, len(sealed)),)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from(["init", "seg", "fin"]),
    st.text("0123456789abcdef./+#", max_size=40),
    st.binary(max_size=99),
)
def test_noise_of_every_kind_is_ignored(yard: Yard, kind: str, rest: str, payload: bytes) -> None:
    assert yard.receiver.handle(f"{yard.topics.base}up/{kind}/{rest}", payload) == []
    assert yard.receiver.handle(f"{yard.topics.base}up/{kind}/{CLIP}", payload) == []
    assert yard.stored() == []


def test_what_an_interrupted_store_left_is_swept_at_the_start(yard: Yard, sealed: bytes) -> None:
    folder = yard.region.store / "car-1"
    folder.mkdir()
    (folder / f".{CLIP}.mcap.new").write_bytes(b"half")
    (folder / f"{CLIP}.mcap").write_bytes(b"named, but not recorded")
    yard.start()
    assert yard.stored() == []
    yard.check_receipt(yard.send(sealed), sealed)


@pytest.fixture(scope="module")
def yards(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Yard]:
    """Making keys takes long: one region, a fresh store for each example."""
    base = make_yard(tmp_path_factory.mktemp("yard"))
    fresh = iter(range(10**6))

    def give() -> Yard:
        root = base.region.root
        for folder in (base.region.store, base.region.incoming):
            folder.rename(root / f"{folder.name}.{next(fresh)}")
            folder.mkdir()
        return Yard(base.region, base.keys)

    return give


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_two_real_machines_through_losses_cuts_and_restarts(yards: Callable[[], Yard], seed: int) -> None:
    """The car's delivering loop and the region's receiver, wired together through a broker that forgets."""
    chance = random.Random(seed)
    yard = yards()
    broker = MemoryBroker()
    broker.listen(receiver_subscription("cn"), yard.handle)
    rate = chance.choice([0.0, 0.1, 0.25])
    broker.forget = lambda _topic: chance.random() < rate
    journal, spool, clock = MemoryJournal(), MemorySpool(keyed("cn")), ManualClock()
    ledger = MemoryLedger(keys=yard.keys, clock=clock)
    data: dict[str, bytes] = {}
    for number in range(chance.randint(1, 3)):
        clip = f"{number:032x}"
        data[clip] = sealed_sample(yard.route, yard.keys, clip, filler_bytes=chance.randint(0, 20_000))
        journal.accept(
            (), (ClipRow(clip, "cn", Purpose.SAFETY, ClipState.STAGED, number, number + 1, 0, (), (), 0),)
        )
        journal.captured(clip, cut=False)
        journal.sealed(spool.put(at("cn"), clip, as_file(data[clip])))

    def car() -> Deliverer:
        return Deliverer(
            broker=MemoryConnection({("127.0.0.1", yard.route.policy.endpoints[0].port): broker}),
            journal=journal,
            spool=spool,
            ledger=ledger,
            consent=PlainConsent(),
            clock=clock,
            events=RememberedEvents(),
            route_source=lambda: yard.route,
            on_message=lambda _route, _message: None,
            random=chance.random,
            limits=UplinkLimits(segment_bytes=GRID),
            gate=OpenGate(),
            power=AlwaysOn(),
        )

    deliverer = car()
    for _ in range(20_000):
        if not journal.clips({ClipState.SEALED}):
            break
        fault = chance.randrange(80)
        if fault == 0:
            broker.cut()
        elif fault == 1:
            deliverer = car()
        elif fault == 2:
            yard.start()
        deliverer.step(0)
        clock.advance(SECOND)
    assert {row.clip_id for row in journal.clips({ClipState.DELIVERED})} == set(data)
    assert yard.names().count("stored") == len(data)
    assert yard.stored() == sorted(f"car-1/{clip}{end}" for clip in data for end in (".json", ".mcap"))
    for clip, content in data.items():
        path = yard.region.store / "car-1" / f"{clip}.mcap"
        assert decode_clip(path.read_bytes()).clip_id == clip
        facts = json.loads(path.with_suffix(".json").read_text())
        assert facts["sealed_sha256"] == FileIdentity.of(content).sha256.hex()


def test_a_segment_just_past_the_end_is_ignored_and_stops_nobody(yard: Yard) -> None:
    """A size on the grid has an empty segment behind its last one: neither wanted nor a reason to end."""
    data = sealed_sample(yard.route, yard.keys, CLIP, filler_bytes=9000)
    grid = next(size for size in range(GRID, len(data) + 1) if len(data) % size == 0)
    whole = hashlib.sha256(data).digest()
    init = Init(v=1, ask=7, size=len(data), sha256=whole, segment_bytes=grid)
    yard.handle(yard.topics.init(CLIP), encode(init))
    assert yard.segment(len(data), b"") == []
    assert yard.segment(len(data) + grid, b"") == []
    assert yard.names() == ["ignored", "ignored"]
    for offset in range(0, len(data), grid):
        yard.segment(offset, data[offset : offset + grid])
    fin = Fin(v=1, ask=8, size=len(data), sha256=whole, segment_bytes=grid)
    yard.check_receipt(yard.handle(yard.topics.fin(CLIP), encode(fin)), data)


def _mcap(add: Callable[[Writer], None]) -> bytes:
    """A clip's frame, all checksums right, with whatever a hostile vehicle ``add``s."""
    output = io.BytesIO()
    writer = Writer(output, compression=CompressionType.ZSTD, enable_data_crcs=True)
    writer.start(profile="", library="")
    about = sample_redacted_clip(CLIP).clip.row
    writer.add_metadata("fsd", encode_about(about, "car-1"))
    add(writer)
    writer.finish()  # type: ignore[no-untyped-call]  # the library annotates most but not all of it
    return output.getvalue()


def _add_json(writer: Writer, topic: str, data: bytes, *, t_ns: int = 1) -> None:
    channel = writer.register_channel(topic, "json", 0)
    writer.add_message(channel, t_ns, data, t_ns)


def _deep(writer: Writer) -> None:
    _add_json(writer, "/firing", b'{"a":' + b"[" * 200_000 + b"]" * 200_000 + b"}")


def _far_future(writer: Writer) -> None:
    entry = encode_entry(CatalogueEntry("A", "double", "", 0, 1, ""))
    channel = writer.register_channel("/signals/A", "json", 0, entry)
    writer.add_message(channel, 2**64 - 1, b'{"value":1}', 2**64 - 1)
    _add_json(writer, "/provenance", b"{}")


def _bomb(writer: Writer) -> None:
    _add_json(writer, "/firing", bytes(MAX_RECORD_BYTES + 1))


@pytest.mark.parametrize("add", [_deep, _far_future])
def test_a_clip_made_to_break_the_reader_is_refused(yard: Yard, add: Callable[[Writer], None]) -> None:
    hostile = seal_bytes(yard.route, yard.keys, CLIP, _mcap(add))
    assert yard.refusal(yard.send(hostile), hostile) is RefusalReason.NOT_A_CLIP
    assert yard.stored() == []


def test_a_fault_of_our_own_is_told_keeps_the_clip_on_its_vehicle_and_stops_nobody(
    yard: Yard, sealed: bytes
) -> None:
    def broken_clock() -> int:
        raise ZeroDivisionError("a bug")

    yard.receiver = Receiver(
        yard.region, wall_ns=broken_clock, on_event=lambda name, fields: yard.told.append((name, fields))
    )
    assert yard.send(sealed) == []
    assert yard.names() == ["held"]
    assert "ZeroDivisionError: a bug" in str(yard.told[0][1]["reason"])
    assert yard.stored() == []
    yard.start()
    yard.check_receipt(yard.question(Fin, sealed), sealed)


def test_a_chunk_that_unpacks_to_more_than_any_clip_has_is_refused_before_it_is_unpacked(yard: Yard) -> None:
    hostile = seal_bytes(yard.route, yard.keys, CLIP, _mcap(_bomb))
    assert len(hostile) < 1 << 20
    assert yard.refusal(yard.send(hostile), hostile) is RefusalReason.NOT_A_CLIP
    assert yard.stored() == []
    assert "bytes, packed into" in str(yard.told[-1][1]["detail"])


def test_the_folder_of_a_first_clip_is_durable_before_its_receipt(
    yard: Yard, sealed: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a power cut may take the whole folder back after the vehicle has erased its clip."""
    synced: list[Path] = []
    real = os.fsync

    def fsync(descriptor: int) -> None:
        synced.append(Path(f"/proc/self/fd/{descriptor}").readlink())
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    yard.check_receipt(yard.send(sealed), sealed)
    assert yard.region.store.resolve() in synced


def test_a_clip_whose_retention_is_over_gets_its_receipt_again_and_is_not_stored_again(
    yard: Yard, sealed: bytes
) -> None:
    first = yard.send(sealed)
    gone = list(expire(yard.region, yard.route.policy, 1_700 + 365 * 86_400 * SECOND))
    assert [(one.clip_id, over) for one, over in gone] == [(CLIP, True)]
    assert yard.stored() == []
    yard.start()
    assert yard.question(Init, sealed) == first
    assert yard.send(sealed) == first
    yard.check_receipt(first, sealed)
    assert yard.stored() == []
    other = sealed[:-1] + b"x"
    assert yard.refusal(yard.question(Init, other), other) is RefusalReason.ID_TAKEN


@pytest.mark.parametrize("where", ["unchecked", "quarantine", "store"])
def test_a_clip_that_is_held_back_is_receipted_and_known_wherever_it_is(
    yard: Yard, sealed: bytes, where: str
) -> None:
    yard.receiver = Receiver(yard.region, wall_ns=lambda: 1_700, hold_back=True)
    yard.check_receipt(yard.send(sealed), sealed)
    assert yard.stored() == []
    waiting = ClipStore(yard.region.unchecked)
    assert waiting.clips() == [("car-1", CLIP)]
    place = yard.region.root / where
    if where != "unchecked":
        waiting.move("car-1", CLIP, ClipStore(place))
    for hold_back in (True, False):
        yard.receiver = Receiver(yard.region, wall_ns=lambda: 2_900, hold_back=hold_back)
        yard.check_receipt(yard.question(Init, sealed), sealed)
        assert sorted(path.name for path in (place / "car-1").iterdir()) == [f"{CLIP}.json", f"{CLIP}.mcap"]
        assert sum(1 for root in yard.region.holding for _ in root.glob("*/*.mcap")) == 1


def test_a_clip_in_quarantine_is_over_like_any_other_and_its_report_goes_with_it(
    yard: Yard, sealed: bytes
) -> None:
    yard.receiver = Receiver(yard.region, wall_ns=lambda: 1_700, hold_back=True)
    yard.send(sealed)
    ClipStore(yard.region.unchecked).move("car-1", CLIP, ClipStore(yard.region.quarantine))
    report = yard.region.quarantine / "car-1" / f"{CLIP}.report"
    report.write_text("{}")
    days = yard.route.policy.retention_days
    over_ns = yard.route.policy.issued_wall_ns + (days + 1) * 86_400 * SECOND
    ((clip, gone),) = expire(yard.region, yard.route.policy, over_ns)
    assert (clip.clip_id, gone) == (CLIP, True)
    assert list((yard.region.quarantine / "car-1").iterdir()) == []
    yard.check_receipt(yard.question(Init, sealed), sealed)
