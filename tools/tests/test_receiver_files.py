"""Clips by the public file convention: two devices, one file id; what a claim is worth; and what is said of a failure."""

from __future__ import annotations

import contextlib
import hashlib
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fsd_agent.adapters.key_files import KeyFiles
from fsd_agent.records.region import Route
from fsd_agent.testing.regions import sample_registration
from fsd_agent.testing.sealed import sealed_sample
from fsd_agent.wire.file_async import (
    PREFIX_BYTES,
    FileClaim,
    FileInit,
    decode_result,
    encode_init,
    fin_topic,
    init_topic,
    response_topic,
    segment_topic,
)
from fsd_agent.wire.pieces import FileIdentity
from fsd_agent.wire.receipt import verify_receipt
from fsd_agent.wire.refusal import RefusalReason, verify_refusal
from fsd_agent.wire.transfer import CLIP_BYTES_MAX, DownKind, Topics
from fsd_tools.errors import ToolError
from fsd_tools.main import main
from fsd_tools.region.incoming import TRANSFERS_MAX
from fsd_tools.region.layout import RegionDir
from fsd_tools.region.operator import load_policy
from fsd_tools.region.receiver import Receiver
from fsd_tools.region.serve import serve

CLIP = "0123456789abcdef" * 2
GRID = 1024
Answers = list[tuple[str, bytes]]


@dataclass
class Yard:
    """A region of the file convention with two enrolled vehicles, and a receiver that can be started again."""

    root: Path
    told: list[tuple[str, dict[str, str | int]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.region = RegionDir(self.root / "cn")
        argv = ["region", "init", str(self.region.root), "--id", "cn", "--jurisdiction", "CN"]
        assert main([*argv, "--transfer", "file_async"]) == 0
        for car in ("car-1", "car-2"):
            argv = ["vehicle", "enrol", str(self.region.root), "--vehicle", car, "-o", str(self.root / car)]
            assert main(argv) == 0
        self.policy = load_policy(self.region)
        self.start()

    def start(self) -> None:
        self.receiver = Receiver(
            self.region, wall_ns=lambda: 1_700, on_event=lambda name, fields: self.told.append((name, fields))
        )

    def sealed(self, car: str, clip: str = CLIP, filler_bytes: int = 9000) -> bytes:
        route = Route(sample_registration(car, "CN"), self.policy)
        return sealed_sample(route, KeyFiles(self.root / car), clip, filler_bytes=filler_bytes)

    def init(self, data: bytes, car: str = "car-1", clip: str = CLIP, **more: object) -> Answers:
        message = init_of(data, car, clip, **more)
        return self.receiver.handle(init_topic(clip), encode_init(message))

    def segment(self, data: bytes, offset: int, clip: str = CLIP) -> None:
        part = data[offset : offset + GRID]
        topic = segment_topic(clip, offset, hashlib.sha256(part).digest())
        assert self.receiver.handle(topic, part) == []

    def segments(self, data: bytes, clip: str = CLIP) -> None:
        for offset in range(0, len(data), GRID):
            self.segment(data, offset, clip)

    def fin(self, data: bytes, clip: str = CLIP) -> Answers:
        return self.receiver.handle(fin_topic(clip, len(data), hashlib.sha256(data).digest()), b"")

    def send(self, data: bytes, car: str = "car-1", clip: str = CLIP) -> Answers:
        assert self.init(data, car, clip) == []
        self.segments(data, clip)
        return self.fin(data, clip)

    def names(self) -> list[str]:
        return [name for name, _ in self.told]

    def stored(self) -> list[str]:
        return sorted(
            str(p.relative_to(self.region.store)) for p in self.region.store.rglob("*") if p.is_file()
        )

    def incoming(self) -> list[Path]:
        return [path for path in self.region.incoming_files.rglob("*") if path.is_file()]

    def check_receipt(
        self, answers: Answers, data: bytes, car: str = "car-1", clip: str = CLIP, sha256: bytes = b""
    ) -> None:
        ((topic, payload),) = answers
        assert topic == Topics("cn", car).down(DownKind.RECEIPT, clip)
        sha256 = sha256 or FileIdentity.of(data).sha256
        keys = self.policy.receipt_public_keys
        verify_receipt(payload, keys, clip_id=clip, region_id="cn", vehicle=car, sha256=sha256)

    def refusal(self, answers: Answers, data: bytes, car: str, clip: str = CLIP) -> RefusalReason:
        ((topic, payload),) = answers
        assert topic == Topics("cn", car).down(DownKind.REFUSE, clip)
        sha256 = FileIdentity.of(data).sha256
        keys = self.policy.receipt_public_keys
        found = verify_refusal(payload, keys, clip_id=clip, region_id="cn", vehicle=car, sha256=sha256)
        return found.reason


def init_of(data: bytes, car: str, clip: str, **more: object) -> FileInit:
    parts = [data[offset : offset + GRID] for offset in range(0, len(data), GRID)]
    segments = b"".join(hashlib.sha256(part).digest()[:PREFIX_BYTES] for part in parts)
    fields: dict[str, object] = {
        "fsd": 2,
        "region": "cn",
        "vehicle": car,
        "segment_bytes": GRID,
        "segments": segments,
        "identity": FileIdentity.of(data).sha256,
    }
    claim = FileClaim(**(fields | more))  # type: ignore[arg-type]
    return FileInit(name=clip, size=len(data), checksum=hashlib.sha256(data).hexdigest(), user_data=claim)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Yard:
    return Yard(tmp_path_factory.mktemp("files"))


@pytest.fixture
def yard(base: Yard, tmp_path: Path) -> Yard:
    """Making keys takes long: one region, fresh folders for each test."""
    for folder in (base.region.store, base.region.incoming_files):
        with contextlib.suppress(FileNotFoundError):
            folder.rename(tmp_path / folder.name)
        folder.mkdir()
    base.told.clear()
    base.start()
    return base


def test_a_clip_by_the_convention_is_stored_and_receipted(yard: Yard) -> None:
    data = yard.sealed("car-1")
    first = yard.send(data)
    yard.check_receipt(first, data)
    assert yard.stored() == [f"car-1/{CLIP}.json", f"car-1/{CLIP}.mcap"]
    assert yard.incoming() == []
    assert yard.names() == ["stored"]
    yard.start()
    assert yard.init(data) == first, "asked again, the same receipt"
    assert yard.names() == ["stored"]


def test_an_agent_from_before_names_its_clip_by_the_hash_of_the_whole(yard: Yard) -> None:
    data = yard.sealed("car-1")
    yard.init(data, fsd=1, identity=None)
    yard.segments(data)
    answers = yard.fin(data)
    yard.check_receipt(answers, data, sha256=hashlib.sha256(data).digest())
    assert yard.init(data, fsd=1, identity=None) == answers


def test_two_devices_with_one_file_id_are_both_delivered_whole(yard: Yard) -> None:
    """Message by message, each between the other's."""
    mine, theirs = yard.sealed("car-1"), yard.sealed("car-2")
    yard.init(mine, "car-1")
    yard.init(theirs, "car-2")
    for offset in range(0, max(len(mine), len(theirs)), GRID):
        for data in (mine, theirs):
            if offset < len(data):
                yard.segment(data, offset)
    yard.check_receipt(yard.fin(mine), mine, "car-1")
    yard.check_receipt(yard.fin(theirs), theirs, "car-2")
    assert yard.stored() == [f"car-{n}/{CLIP}{end}" for n in (1, 2) for end in (".json", ".mcap")]
    assert yard.incoming() == []


def test_another_vehicle_that_poses_as_this_one_corrupts_nothing(yard: Yard) -> None:
    """It knows the file id and the name, and writes other bytes under both, before and between."""
    mine = yard.sealed("car-1")
    junk = bytes(reversed(mine))
    yard.init(junk, "car-1")
    yard.init(mine, "car-1")
    for offset in range(0, len(mine), GRID):
        yard.segment(junk, offset)
        yard.segment(mine, offset)
    assert yard.refusal(yard.fin(junk), junk, "car-1") is RefusalReason.NOT_OPENABLE
    yard.check_receipt(yard.fin(mine), mine)
    assert yard.names() == ["refused", "stored"]


def test_a_claim_that_is_not_the_manifests_is_refused_for_who_claimed(yard: Yard) -> None:
    stolen = yard.sealed("car-1")
    assert yard.refusal(yard.send(stolen, "car-2"), stolen, "car-2") is RefusalReason.WRONG_OWNER
    assert yard.stored() == []
    yard.check_receipt(yard.send(stolen, "car-1"), stolen)


def test_another_clip_under_a_stored_id_is_refused_and_the_stored_one_stays(yard: Yard) -> None:
    data, other = yard.sealed("car-1"), yard.sealed("car-1", filler_bytes=100)
    yard.send(data)
    before = (yard.region.store / "car-1" / f"{CLIP}.mcap").read_bytes()
    assert yard.refusal(yard.init(other), other, "car-1") is RefusalReason.ID_TAKEN
    assert (yard.region.store / "car-1" / f"{CLIP}.mcap").read_bytes() == before


def test_segments_that_nobody_announced_or_that_were_changed_are_not_written(yard: Yard) -> None:
    data = yard.sealed("car-1")
    yard.segment(data, 0)
    assert yard.names() == [], "of a file that is unknown, or stored meanwhile"
    yard.init(data)
    yard.segment(bytes(len(data)), 0)
    assert yard.names() == ["ignored"]
    topic = segment_topic(CLIP, 0, hashlib.sha256(data[:GRID]).digest())
    assert yard.receiver.handle(topic, bytes(GRID)) == []
    assert yard.names() == ["ignored", "damaged"]
    yard.segment(data, GRID // 2)
    yard.segment(data, 10**6 * GRID)
    assert yard.names() == ["ignored", "damaged", "ignored", "ignored"]
    ((topic, payload),) = yard.fin(data)
    assert topic == response_topic("car-1")
    assert decode_result(payload)[1].reason_code != 0
    yard.segments(data)
    yard.check_receipt(yard.fin(data), data)


def test_what_has_arrived_survives_a_restart(yard: Yard) -> None:
    data = yard.sealed("car-1")
    yard.init(data)
    for offset in range(0, len(data), 2 * GRID):
        yard.segment(data, offset)
    yard.start()
    yard.init(data)
    for offset in range(GRID, len(data), 2 * GRID):
        yard.segment(data, offset)
    yard.start()
    yard.check_receipt(yard.fin(data), data)


def test_a_list_that_does_not_make_the_announced_file_is_a_failure_and_starts_again(yard: Yard) -> None:
    """Each segment is as listed, and the whole is another file."""
    data = yard.sealed("car-1")
    swapped = data[GRID : 2 * GRID] + data[:GRID] + data[2 * GRID :]
    wrong = init_of(swapped, "car-1", CLIP)
    claim = msgspec.structs.replace(wrong.user_data, identity=FileIdentity.of(data).sha256)
    lying = FileInit(name=CLIP, size=len(data), checksum=hashlib.sha256(data).hexdigest(), user_data=claim)
    yard.receiver.handle(init_topic(CLIP), encode_init(lying))
    yard.segments(swapped)
    ((topic, _),) = yard.fin(data)
    assert topic == response_topic("car-1")
    assert yard.names() == ["damaged"]
    assert yard.incoming() == []
    yard.check_receipt(yard.send(data), data)


def test_a_stranger_another_region_and_a_clip_too_large_get_no_disk(yard: Yard) -> None:
    data = yard.sealed("car-1")
    assert yard.init(data, "car-9") == []
    assert yard.init(data, region="eu") == []
    assert yard.names() == ["held", "ignored"]
    size = CLIP_BYTES_MAX + 1
    claim = FileClaim(fsd=1, region="cn", vehicle="car-1", segment_bytes=262_144, segments=bytes(16 * 2049))
    huge = FileInit(name=CLIP, size=size, checksum="0" * 64, user_data=claim)
    ((topic, _),) = yard.receiver.handle(init_topic(CLIP), encode_init(huge))
    assert topic.endswith(f"down/refuse/{CLIP}")
    assert yard.incoming() == []


def test_transfers_of_a_vehicle_are_bounded_and_leave_nothing_behind(yard: Yard) -> None:
    clips = [f"{number:032x}" for number in range(TRANSFERS_MAX + 3)]
    for clip in clips:
        yard.init(b"a" * 3000, clip=clip)
    assert len([path for path in yard.incoming() if path.suffix == ".have"]) == TRANSFERS_MAX
    assert yard.fin(b"a" * 3000, clips[0]) == [], "its place was taken: the next init begins again"
    yard.start()
    assert len([path for path in yard.incoming() if path.suffix == ".list"]) == TRANSFERS_MAX


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text("0123456789abcdef./+#$fin", max_size=40), st.binary(max_size=99))
def test_noise_of_every_kind_is_ignored(yard: Yard, rest: str, payload: bytes) -> None:
    for topic in (f"$file-async/{rest}", f"$file-async/{CLIP}/{rest}", f"$file-async/{CLIP}/init"):
        assert yard.receiver.handle(topic, payload) == []
    assert yard.stored() == []


def test_a_policy_that_was_changed_to_the_convention_is_not_served_by_rules_without_it(
    tmp_path: Path,
) -> None:
    root = tmp_path / "cn"
    assert main(["region", "init", str(root), "--id", "cn", "--jurisdiction", "CN"]) == 0
    region = RegionDir(root)
    assert "$file" not in region.broker_acl.read_text()
    text = (
        region.policy.read_text()
        .replace("version = 1", "version = 2")
        .replace("broker_pins", 'transfer = "file_async"\nbroker_pins')
    )
    region.policy.write_text(text)
    assert main(["region", "policy", "sign", str(root)]) == 0
    with pytest.raises(ToolError, match="no rules for"):
        serve(root)
