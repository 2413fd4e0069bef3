"""``fsdctl audit`` on real files: a vehicle's ledger, and regions' directories as ``fsdctl region init`` makes them."""

from __future__ import annotations

import base64
import datetime as dt
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from fsd_agent.adapters.key_files import KeyFiles, create_keys, read_private
from fsd_agent.adapters.ledger_disk import segment_paths
from fsd_agent.adapters.ledger_files import LedgerFiles
from fsd_agent.records.ledger import Entry
from fsd_agent.rules.audit.writer import LedgerLimits
from fsd_agent.testing.clock import ManualClock
from fsd_agent.testing.decisions import STORED_WALL_NS, Decisions, clip_id_of, sealed_hash
from fsd_agent.testing.events import RememberedEvents
from fsd_agent.testing.regions import SampleRegion
from fsd_agent.testing.vehicle_keys import MemoryVehicleKeys
from fsd_agent.wire.ledger import encode_entry
from fsd_agent.wire.ledger_file import RECORD, Frame, encode_start, read_segment
from fsd_agent.wire.moments import DAY_NS
from fsd_agent.wire.policy import decode_policy
from fsd_tools.main import main
from fsd_tools.region.enrolled import save_vehicle
from fsd_tools.region.layout import RegionDir
from fsd_tools.region.retention import expire
from fsd_tools.region.store import StoredClip

NOW = dt.datetime(2026, 11, 20, tzinfo=dt.UTC)


class Fleet:
    """Two regions, one vehicle that belonged to both, and its ledger."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.ledger = root / "car-1" / "ledger"
        create_keys(root / "car-1")
        self.keys = KeyFiles(root / "car-1")
        self.cn, self.eu = self._region("cn", "CN"), self._region("eu", "DE")

    def _region(self, region_id: str, jurisdiction: str) -> Decisions:
        region = RegionDir(self.root / region_id)
        assert (
            main(["region", "init", str(region.root), "--id", region_id, "--jurisdiction", jurisdiction]) == 0
        )
        save_vehicle(region, "car-1", self.keys.device_public_key(), NOW)
        policy = decode_policy(region.policy.read_bytes(), str(region.policy))
        receipt_key = read_private(region.receipt_key, 32)
        return Decisions(SampleRegion(policy, b"", receipt_key, b""))

    def store(self, do: Decisions, *clips: str) -> None:
        """What the region's receiver keeps of a clip."""
        folder = RegionDir(self.root / do.region_id).store / "car-1"
        folder.mkdir(parents=True, exist_ok=True)
        for clip in clips:
            stored = StoredClip(
                clip, "car-1", do.region_id, sealed_hash(clip).hex(), 1000, 900, STORED_WALL_NS, {}
            )
            (folder / f"{clip}.json").write_text(
                json.dumps({f: getattr(stored, f) for f in stored.__struct_fields__})
            )

    def drive(self, limits: LedgerLimits | None = None, keys: MemoryVehicleKeys | None = None) -> None:
        """Three clips to region cn, one of them still on the way; re-registered; one to region eu, one given up."""
        ledger = LedgerFiles(
            self.ledger,
            keys=keys or self.keys,
            clock=ManualClock(),
            events=RememberedEvents(),
            limits=limits or LedgerLimits(),
        )
        ledger.append(self.cn.registered(), self.cn.consented())
        ledger.append(*self.cn.life(clip_id_of(1)))
        ledger.append(*self.cn.life(clip_id_of(2)))
        ledger.append(*self.cn.life(clip_id_of(3))[:6])
        ledger.append(self.eu.registered())
        ledger.append(*self.eu.life(clip_id_of(4)))
        ledger.append(self.eu.fired(clip_id_of(5)), self.eu.dropped(clip_id_of(5)))
        ledger.close()
        self.store(self.cn, clip_id_of(1), clip_id_of(2))
        self.store(self.eu, clip_id_of(4))

    def verify(self, *more: str) -> int:
        return main(["audit", "verify", str(self.ledger), "--receipts", str(self.root / "cn"), str(self.root / "eu"), *more])  # fmt: skip

    def file(self) -> Path:
        (path,) = segment_paths(self.ledger)
        return path


@pytest.fixture
def fleet(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Fleet:
    made = Fleet(tmp_path)
    capsys.readouterr()
    return made


def facts(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_a_sound_ledger_says_clip_by_clip_where_data_went(
    fleet: Fleet, capsys: pytest.CaptureFixture[str]
) -> None:
    fleet.drive()
    assert fleet.verify("--json") == 0
    said = facts(capsys)
    assert said["findings"] == said["regions_not_given"] == []
    clips = {one["clip"]: one for one in said["clips"]}
    assert {clip: one["where"] for clip, one in clips.items()} == {
        clip_id_of(1): "at the region",
        clip_id_of(2): "at the region",
        clip_id_of(3): "on the vehicle, sent",
        clip_id_of(4): "at the region",
        clip_id_of(5): "given up, not yet erased",
    }
    eu = fleet.eu.region.policy
    one = clips[clip_id_of(4)]
    assert (one["region"], one["sealed_to"], one["receipt"]) == ("eu", eu.sealing_key_id, "verified")
    assert one["redacted_by"] == ["nanodet_m_416@1"]
    assert [sent["identity"] for sent in one["sent"]] == [eu.identity_uri] * 2
    assert clips[clip_id_of(5)]["dropped"] == "redaction_failed"
    assert fleet.verify() == 0
    text = capsys.readouterr().out
    assert text.rstrip().endswith("everything holds")
    assert "region eu holds 1 clips of this vehicle; 1 receipts verified" in text
    assert said["root"] in text


def test_without_a_region_its_receipts_are_said_to_be_unchecked(
    fleet: Fleet, capsys: pytest.CaptureFixture[str]
) -> None:
    fleet.drive()
    key = base64.b64encode(fleet.keys.device_public_key()).decode()
    assert main(["audit", "verify", str(fleet.ledger), "--device-key", key]) == 0
    text = capsys.readouterr().out
    assert "region cn was not given" in text
    assert main(["audit", "verify", str(fleet.ledger)]) == 1  # nobody says whose key it is
    assert "bad_signature" in capsys.readouterr().out


def frames_of(path: Path) -> tuple[bytes, list[Frame]]:
    segment = read_segment(path.read_bytes())
    return encode_start(segment.checkpoint), list(segment.frames)


def write(path: Path, start: bytes, frames: Sequence[Frame]) -> None:
    path.write_bytes(start + b"".join(frame.signed + frame.check for frame in frames))


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[[one for one in frames_of(path)[1] if one.kind == RECORD][10].offset + 60] ^= 1
    path.write_bytes(data)


def remove(path: Path) -> None:
    start, frames = frames_of(path)
    write(path, start, frames[:10] + frames[11:])


def swap(path: Path) -> None:
    start, frames = frames_of(path)
    frames[10], frames[20] = frames[20], frames[10]
    write(path, start, frames)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


def empty(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize(
    ("tamper", "lines"),
    [
        (flip, ["record 10: changed"]),
        (remove, ["record 10: missing: record 10"]),
        (swap, ["record 10: reordered", "record 20: reordered"]),
        (cut, ["torn"]),
        (empty, ["bad_file"]),
    ],
)
def test_what_was_done_to_a_file_is_said_with_file_and_record(
    tamper: Any, lines: list[str], fleet: Fleet, capsys: pytest.CaptureFixture[str]
) -> None:
    fleet.drive()
    tamper(fleet.file())
    assert fleet.verify() == 1
    said = capsys.readouterr().out.splitlines()
    for line in lines:
        assert [one for one in said if one.startswith(f"{fleet.file().name}: {line}")], line
    assert said[-1].endswith("findings")


def test_a_ledger_that_somebody_else_signed(fleet: Fleet, capsys: pytest.CaptureFixture[str]) -> None:
    fleet.drive(keys=MemoryVehicleKeys("forger"))
    assert fleet.verify("--json") == 1
    kinds = {one["kind"] for one in facts(capsys)["findings"]}
    assert kinds == {"bad_signature"}


def test_what_a_region_holds_and_the_ledger_does_not(
    fleet: Fleet, capsys: pytest.CaptureFixture[str]
) -> None:
    fleet.drive()
    fleet.store(fleet.cn, clip_id_of(77))
    fleet.store(fleet.eu, clip_id_of(1))
    assert fleet.verify("--json") == 1
    found = {(one["kind"], one["clip"]) for one in facts(capsys)["findings"]}
    assert found == {("not_in_ledger", clip_id_of(77)), ("wrong_region", clip_id_of(1))}


def test_a_head_that_was_told_outlives_a_cut(fleet: Fleet, capsys: pytest.CaptureFixture[str]) -> None:
    fleet.drive()
    start, frames = frames_of(fleet.file())
    head = fleet.root / "told.head"
    head.write_bytes(frames[-1].body)
    assert fleet.verify("--heads", str(head)) == 0
    write(fleet.file(), start, frames[:22])  # everything about region eu
    capsys.readouterr()
    assert fleet.verify("--json", "--heads", str(head)) == 1
    said = facts(capsys)["findings"]
    assert ("not_as_told", 22) in {(one["kind"], one["record"]) for one in said}
    head.write_bytes(b"hello")
    assert fleet.verify("--heads", str(head)) == 1
    assert capsys.readouterr().err.startswith(f"fsdctl: error: {head}")


def test_verification_goes_on_from_a_checkpoint(fleet: Fleet, capsys: pytest.CaptureFixture[str]) -> None:
    small = LedgerLimits(segment_bytes=2000, keep_bytes=6000, most_bytes=9000)
    fleet.drive(limits=small)
    ledger = LedgerFiles(
        fleet.ledger, keys=fleet.keys, clock=ManualClock(), events=RememberedEvents(), limits=small
    )
    assert ledger.trim(10**6) > 0
    ledger.close()
    assert fleet.verify("--json") == 0
    said = facts(capsys)
    assert said["first"] > 10
    where = {one["clip"]: one["where"] for one in said["clips"]}
    assert where[clip_id_of(3)] == "on the vehicle, sent"
    assert clip_id_of(1) not in where
    segment_paths(fleet.ledger)[0].unlink()
    assert fleet.verify("--json") == 1
    assert "missing" in {one["kind"] for one in facts(capsys)["findings"]}


def test_show(fleet: Fleet, capsys: pytest.CaptureFixture[str]) -> None:
    fleet.drive()
    assert main(["audit", "show", str(fleet.ledger), "--json", "--clip", clip_id_of(4)]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [one["kind"] for one in lines][:4] == ["Fired", "Fired", "Redacted", "Sealed"]
    assert all(one["region_id"] == "eu" for one in lines)
    assert main(["audit", "show", str(fleet.ledger)]) == 0
    assert "Registered" in capsys.readouterr().out


def test_one_record_is_shown_without_the_others(fleet: Fleet, capsys: pytest.CaptureFixture[str]) -> None:
    fleet.drive()
    proof, cn = fleet.root / "10.json", str(fleet.root / "cn")
    assert (
        main(["audit", "prove", str(fleet.ledger), "--receipts", cn, "--record", "10", "-o", str(proof)]) == 0
    )
    assert f"Record 10 of 39, Receipted: {proof}" in capsys.readouterr().out
    assert main(["audit", "check", str(proof), "--receipts", cn, "--json"]) == 0
    said = facts(capsys)
    assert (said["kind"], said["clip_id"], said["record"]) == ("Receipted", clip_id_of(1), 10)
    assert main(["audit", "check", str(proof), "--receipts", cn]) == 0
    assert "is in the ledger of device key" in capsys.readouterr().out
    sound = json.loads(proof.read_text())
    later = encode_entry(Entry(10, 0, 0, fleet.cn.receipted(clip_id_of(1)))).hex()
    for change, says in (
        ({"record": later}, "path: does not lead from record 10"),
        ({"path": sound["path"][1:]}, "path: does not lead from record 10"),
        (
            {"head": sound["head"][:-1] + ("0" if sound["head"][-1] != "0" else "1")},
            "its head is not signed by device key",
        ),
        ({"head": "zz"}, "non-hexadecimal"),
        ({"more": 1}, "more"),
    ):
        proof.write_text(json.dumps(sound | change))
        assert main(["audit", "check", str(proof), "--receipts", cn]) == 1
        said_why = capsys.readouterr().err
        assert said_why.startswith(f"fsdctl: error: {proof}: ")
        assert says in said_why
    proof.write_text(json.dumps(sound))
    assert main(["audit", "check", str(proof)]) == 1
    assert "none of those given" in capsys.readouterr().err
    assert (
        main(["audit", "prove", str(fleet.ledger), "--receipts", cn, "--record", "39", "-o", str(proof)]) == 2
    )
    flip(fleet.file())
    capsys.readouterr()
    assert (
        main(["audit", "prove", str(fleet.ledger), "--receipts", cn, "--record", "10", "-o", str(proof)]) == 1
    )
    assert "record 10: changed" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["verify", "show"])
def test_what_is_no_ledger_is_named(command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", command, str(tmp_path / "nothing")]) == 1
    said = capsys.readouterr().err
    assert said.startswith(f"fsdctl: error: {tmp_path / 'nothing'}: No such file")
    assert main(["audit", command, str(tmp_path)]) == 1
    assert "no segment" in "".join(capsys.readouterr())


def test_a_key_that_is_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for text in ("hello!", "aGVsbG8="):
        assert main(["audit", "verify", str(tmp_path), "--device-key", text]) == 2
        assert "--device-key" in capsys.readouterr().err


def test_a_clip_that_came_to_its_end_at_the_region_is_told_from_one_that_was_lost(
    fleet: Fleet, capsys: pytest.CaptureFixture[str]
) -> None:
    fleet.drive()
    region = RegionDir(fleet.root / "cn")
    assert all(over for _, over in expire(region, fleet.cn.region.policy, STORED_WALL_NS + 400 * DAY_NS))
    capsys.readouterr()
    assert fleet.verify("--json") == 0
    said = facts(capsys)
    where = {one["clip"]: one["where"] for one in said["clips"]}
    assert where[clip_id_of(1)] == "was at the region until its retention was over"
    assert where[clip_id_of(4)] == "at the region"
    assert fleet.verify() == 0
    assert "2 clips was at the region until its retention was over" in capsys.readouterr().out
    (region.expired / "car-1" / f"{clip_id_of(1)}.json").unlink()
    assert fleet.verify("--json") == 1
    (finding,) = facts(capsys)["findings"]
    assert (finding["kind"], finding["clip"]) == ("not_at_region", clip_id_of(1))
    path = region.expired / "car-1" / f"{clip_id_of(2)}.json"
    path.write_text(path.read_text().replace('"signed": "', '"signed": "!'))
    assert fleet.verify() == 1
    assert f"{clip_id_of(2)}.json" in capsys.readouterr().err
