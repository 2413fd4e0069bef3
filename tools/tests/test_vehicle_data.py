"""``fsdctl vehicle data`` on real files: a vehicle's ledger, journal, spool and keys, and a region that stores what was sent."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import os
import resource
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from mcap.reader import make_reader

from agent.tests.softhsm import SoftToken, needs_softhsm, using
from fsd_agent.adapters.data_lock import DataLock
from fsd_agent.adapters.key_files import KeyFiles, create_keys, read_private
from fsd_agent.adapters.ledger_disk import segment_paths
from fsd_agent.adapters.ledger_files import LedgerFiles
from fsd_agent.adapters.spool_files import SpoolFiles
from fsd_agent.adapters.sqlite_journal import SqliteJournal
from fsd_agent.adapters.trust_files import public_key_text
from fsd_agent.ports.secure_element import SecureElement
from fsd_agent.records.clip import ClipRow, ClipState, Receipt, RedactedClip, SealedClip
from fsd_agent.records.firing import Firing, JudgedFiring
from fsd_agent.records.ledger import Cause, Copy, Receipted, Sealed
from fsd_agent.records.purpose import Compartment, Purpose
from fsd_agent.records.reasons import DropReason
from fsd_agent.records.redaction import RedactionRecord
from fsd_agent.records.region import Route
from fsd_agent.testing.clock import ManualClock
from fsd_agent.testing.decisions import STORED_WALL_NS, Decisions, clip_id_of
from fsd_agent.testing.events import RememberedEvents
from fsd_agent.testing.regions import AUTHORITY_KEY, SampleRegion, sample_redacted_clip, sample_registration
from fsd_agent.wire.clip import encode_clip
from fsd_agent.wire.envelope import public_key_of
from fsd_agent.wire.moments import DAY_NS
from fsd_agent.wire.policy import decode_policy
from fsd_agent.wire.receipt import encode_receipt
from fsd_agent.wire.sealed import read_manifest, seal_clip
from fsd_tools.main import main
from fsd_tools.region.enrolled import save_vehicle
from fsd_tools.region.layout import RegionDir
from fsd_tools.region.retention import expire
from fsd_tools.region.store import ClipStore, StoredClip, manifest_facts

NOW = dt.datetime(2026, 11, 20, tzinfo=dt.UTC)
FIRED_NS = 1_799_000_000_000_000_000
SAFETY = Compartment("cn", Purpose.SAFETY)
RECORDING, CAPTURED, WAITING, DELIVERED, DROPPED = map(clip_id_of, range(1, 6))


class Car:
    """A vehicle with a clip in each state, and the region that one of them was delivered to."""

    def __init__(self, root: Path, element: SecureElement | None = None) -> None:
        self.root, self.data = root / "car-1", root / "car-1" / "data"
        create_keys(self.root, element)
        self.keys = KeyFiles(self.root, element)
        self.data.mkdir(mode=0o700)
        self.region = RegionDir(root / "cn")
        assert main(["region", "init", str(self.region.root), "--id", "cn", "--jurisdiction", "CN"]) == 0
        save_vehicle(self.region, "car-1", self.keys.device_public_key(), NOW)
        policy = decode_policy(self.region.policy.read_bytes(), "policy")
        self.do = Decisions(SampleRegion(policy, b"", read_private(self.region.receipt_key, 32), b""))
        self.route = Route(sample_registration("car-1", "CN"), policy)
        self.trust()
        self.journal = SqliteJournal(self.data / "journal.db")
        self.spool = SpoolFiles(self.data / "spool", self.keys)
        self.keys.compartment_key(*SAFETY, make=True)
        self.collect()

    def trust(self) -> None:
        """As enrolment leaves it."""
        for name, data in (
            ("trust/cn.root", self.region.root_public.read_bytes()),
            ("trust/registration.pub", public_key_text(public_key_of(AUTHORITY_KEY), "a").encode()),
            ("policies/cn.signed", self.region.signed_policy.read_bytes()),
        ):
            path = self.root / name
            path.parent.mkdir(mode=0o700, exist_ok=True)
            path.write_bytes(data)
            path.chmod(0o600)

    def clip(self, clip_id: str) -> tuple[RedactedClip, bytes]:
        sample = sample_redacted_clip(clip_id, "cn")
        firing = JudgedFiring("f", Firing("crossing", 3, 0, ()), FIRED_NS, clip_id, None)
        row = replace(sample.clip.row, wall_minus_mono_ns=FIRED_NS)
        redacted = RedactedClip(
            replace(sample.clip, row=row, firings=(firing,)),
            RedactionRecord(
                ("faces=head_zone", "plates=plate_band"), ("firmware",), 1, 2, 0.2, "coarse:0.05"
            ),
        )
        noise = hashlib.shake_128(clip_id.encode()).hexdigest(100_000)
        return redacted, encode_clip(
            redacted, vehicle="car-1", provenance={"purpose": "safety", "noise": noise}
        )

    def seal(self, clip_id: str) -> tuple[SealedClip, bytes, bytes]:
        """Into the spool; (what the journal takes, the clip's file, the sealed file)."""
        redacted, content = self.clip(clip_id)
        file = seal_clip(
            redacted, content, route=self.route, sign=self.keys.sign, device_key_id=self.keys.device_key_id()
        )
        parts = list(file.chunks)
        return self.spool.put(SAFETY, clip_id, replace(file, chunks=parts)), content, b"".join(parts)

    def collect(self) -> None:
        rows = [
            ClipRow(one, "cn", Purpose.SAFETY, ClipState.STAGED, 0, 9, FIRED_NS, ("front",), ("Vehicle.Speed",), 0)
            for one in (RECORDING, CAPTURED, WAITING, DELIVERED, DROPPED)
        ]  # fmt: skip
        firings = [
            JudgedFiring(f"f-{row.clip_id[-6:]}-0", Firing("crossing", 3, 0, (("Vehicle.Speed", 8.5),)), FIRED_NS + n, row.clip_id, None)
            for n, row in enumerate(rows)
        ]  # fmt: skip
        dropped = [
            JudgedFiring(f"d-{n}", Firing("crossing", 3, 0, ()), FIRED_NS, None, reason)
            for n, reason in enumerate([DropReason.NO_CONSENT, DropReason.NO_CONSENT, DropReason.DISK_FULL])
        ]
        self.journal.accept([*firings, *dropped], rows)
        ledger = LedgerFiles(
            self.data / "ledger", keys=self.keys, clock=ManualClock(), events=RememberedEvents()
        )
        do = self.do
        ledger.append(do.registered(), do.consented(), *(do.fired(row.clip_id) for row in rows))
        waiting, self.content, _ = self.seal(WAITING)
        sent, self.delivered, sealed = self.seal(DELIVERED)
        for one in (waiting, sent):
            self.journal.captured(one.clip_id, cut=False)
            self.journal.sealed(one)
            ledger.append(do.redacted(one.clip_id), self.fact(one))
            ledger.append(do.erased(one.clip_id, Copy.STAGED, Cause.SEALED))
        self.journal.captured(CAPTURED, cut=False)
        said = Receipt(DELIVERED, "cn", "car-1", sent.sha256, STORED_WALL_NS)
        self.receipt = encode_receipt(said, do.region.receipt_key)
        ledger.append(do.sent(DELIVERED), Receipted(DELIVERED, "cn", self.receipt))
        ledger.append(do.erased(DELIVERED, Copy.SEALED, Cause.RECEIPTED))
        self.journal.delivered(DELIVERED, receipt=self.receipt)
        self.spool.erase(SAFETY, DELIVERED)
        ledger.append(do.dropped(DROPPED), do.erased(DROPPED, Copy.STAGED, Cause.DROPPED))
        self.journal.dropped(DROPPED, DropReason.REDACTION_FAILED, "")
        ledger.close()
        for clip_id in (RECORDING, CAPTURED):
            staged = self.data / "staging" / "cn" / "safety" / f"{clip_id}.staged"
            staged.parent.mkdir(parents=True, exist_ok=True)
            staged.write_bytes(b"as it was recorded")
        self.store(sent, sealed)

    def fact(self, one: SealedClip) -> Sealed:
        return replace(self.do.sealed(one.clip_id), sha256=one.sha256, size_bytes=one.size_bytes)

    def store(self, one: SealedClip, sealed: bytes) -> None:
        """As the region's receiver does."""
        manifest = manifest_facts(read_manifest(BytesIO(sealed)))
        ClipStore(self.region.store).put(
            "car-1",
            one.clip_id,
            [self.delivered],
            check=lambda _path: None,
            facts=lambda size: StoredClip(
                one.clip_id, "car-1", "cn", one.sha256.hex(), one.size_bytes, size, STORED_WALL_NS, manifest
            ),
        )

    def sealed_file(self) -> Path:
        return self.data / "spool" / "cn" / "safety" / f"{WAITING}.sealed"

    def ask(self, *more: str) -> int:
        return main(["vehicle", "data", str(self.root), *more])


@pytest.fixture
def car(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Car]:
    made = Car(tmp_path)
    capsys.readouterr()
    yield made
    made.journal.close()


def said(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def clips_of(answer: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {one["clip"]: one for one in answer["clips"]}


def everything(folder: Path) -> dict[str, bytes]:
    """But what SQLite makes beside the journal of whoever reads it."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.endswith(("-shm", "-wal"))
    }


def test_each_clip_has_its_line(car: Car, capsys: pytest.CaptureFixture[str]) -> None:
    before = everything(car.root)
    assert car.ask() == 0
    lines = capsys.readouterr().out.splitlines()
    assert everything(car.root) == before, "looking changes nothing"
    about = {line[:32]: line for line in lines[:5]}
    assert list(about) == [RECORDING, CAPTURED, WAITING, DELIVERED, DROPPED]
    assert "is being recorded" in about[RECORDING]
    assert "not redacted yet: comes once it is sealed" in about[CAPTURED]
    assert "crossing v3 for safety, region cn; cameras front, 1 signals" in about[WAITING]
    assert "heads of persons painted over, number plates' part of vehicles painted over" in about[WAITING]
    assert "positions, but for one to within 0.05 degrees" in about[WAITING]
    assert "redacted, waits to be sent; copy: can be had here" in about[WAITING]
    assert "delivered on 2027-01-15T08:00:00Z to region cn, receipt verified" in about[DELIVERED]
    assert f"fsdctl region data REGION --vehicle car-1 --clip {DELIVERED} --copy OUT" in about[DELIVERED]
    assert "given up because persons could not be made unrecognisable; erased" in about[DROPPED]
    assert lines[5:7] == [
        "1 firings of crossing: nothing was kept, the disk was full",
        "2 firings of crossing: nothing was kept, the user had not consented to its purpose",
    ]
    assert "5 clips for safety (to understand dangerous situations" in lines[7]
    assert len(lines) == 8


def test_the_catalogue_for_machines(car: Car, capsys: pytest.CaptureFixture[str]) -> None:
    assert car.ask("--json") == 0
    answer = said(capsys)
    assert answer.keys() == {"format", "vehicle", "clips", "dropped_firings", "totals", "not_read"}
    assert (answer["format"], answer["vehicle"], answer["not_read"]) == (1, "car-1", [])
    clips = clips_of(answer)
    assert {clip: (one["state"], one["copy"]["state"]) for clip, one in clips.items()} == {
        RECORDING: ("recording", "not_redacted_yet"),
        CAPTURED: ("not_redacted", "not_redacted_yet"),
        WAITING: ("waits", "here"),
        DELIVERED: ("delivered", "at_region"),
        DROPPED: ("given_up", "given_up"),
    }
    one = clips[DELIVERED]
    assert one.keys() == {
        "clip", "region", "purpose", "purpose_means", "fired", "holds", "removed", "rules", "location", "state", "says",
        "on_board", "reason", "sha256", "delivery", "at_region", "copy",
    }  # fmt: skip
    assert one["delivery"] == {
        "region": "cn",
        "receipt_sha256": hashlib.sha256(car.receipt).hexdigest(),
        "stored_wall_ns": STORED_WALL_NS,
        "verified": True,
        "why_not_verified": "",
    }
    assert one["fired"] == [
        {"campaign": "crossing", "version": 3, "wall_ns": FIRED_NS + 3, "saw": {"Vehicle.Speed": 8.5}}
    ]
    assert one["holds"]["cameras"] == ["front"]
    assert one["holds"]["bytes"] > 100_000
    assert one["removed"][0] == "heads of persons painted over"
    assert clips[CAPTURED]["removed"] is None
    assert clips[DROPPED]["reason"] == "redaction_failed"
    assert answer["dropped_firings"][1]["firings"] == 2
    (total,) = answer["totals"]
    assert (total["purpose"], total["clips"], total["copies_here"]) == ("safety", 5, 1)
    assert sum(total["states"].values()) == 5


def test_a_copy_opens_as_the_clip_that_the_region_would_get(
    car: Car, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "mine"
    assert car.ask("--copy", str(out), "--clip", WAITING[-1:]) == 1
    assert "is no clip known here" in capsys.readouterr().err
    assert not out.exists()
    assert car.ask("--copy", str(out), "--clip", WAITING, "--json") == 0
    (one,) = said(capsys)["clips"]
    assert one["copy"]["file"] == f"{WAITING}.mcap"
    assert {path.name for path in out.iterdir()} == {"catalogue.json", f"{WAITING}.mcap"}
    assert {path.stat().st_mode & 0o777 for path in out.iterdir()} == {0o600}
    copy = out / f"{WAITING}.mcap"
    assert copy.read_bytes() == car.content
    with copy.open("rb") as file:
        assert make_reader(file).get_summary() is not None
    assert json.loads((out / "catalogue.json").read_text())["clips"] == [one]
    assert main(["clip", "info", str(copy), "--json"]) == 0
    assert said(capsys)["clip"] == WAITING
    assert car.ask("--copy", str(out)) == 1
    assert "holds something already" in capsys.readouterr().err


def test_what_is_not_redacted_yet_is_not_given_and_said(
    car: Car, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine").mkdir()
    assert car.ask("--copy", str(tmp_path / "mine")) == 3, "two clips on the vehicle could not be given"
    lines = capsys.readouterr().out.splitlines()
    assert sum("copy: not redacted yet: comes once it is sealed" in line for line in lines) == 2
    assert {path.name for path in (tmp_path / "mine").iterdir()} == {"catalogue.json", f"{WAITING}.mcap"}
    for clip_id, code in ((DELIVERED, 3), (DROPPED, 3), (RECORDING, 3), (WAITING, 0)):
        assert car.ask("--copy", str(tmp_path / clip_id), "--clip", clip_id) == code


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (flip, "is damaged"),
        (lambda path: path.write_bytes(path.read_bytes()[:-70_000]), "damaged, cut short"),
        (lambda path: path.write_bytes(b"hello"), "starts with b'hello'"),
        (lambda path: path.write_bytes(path.read_bytes()[:40]), "header"),
    ],
)
def test_a_damaged_container_gives_no_copy(
    spoil: Callable[[Path], object],
    says: str,
    car: Car,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    spoil(car.sealed_file())
    out = tmp_path / "mine"
    assert car.ask("--copy", str(out), "--clip", WAITING) == 3
    line = capsys.readouterr().out.splitlines()[0]
    assert f"copy: none: {car.sealed_file()}: " in line
    assert says in line
    assert {path.name for path in out.iterdir()} == {"catalogue.json"}, "nothing of it, not even a part"


def test_withdrawn_consent_leaves_no_copy(
    car: Car, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The key goes first; the file lies there a moment longer."""
    car.keys.destroy_compartment(*SAFETY)
    assert car.ask("--copy", str(tmp_path / "mine"), "--clip", WAITING) == 3
    assert "withdrawn consent destroys it" in capsys.readouterr().out
    car.journal.dropped(WAITING, DropReason.CONSENT_WITHDRAWN, "")
    car.spool.erase(SAFETY, WAITING)
    assert car.ask("--copy", str(tmp_path / "again"), "--clip", WAITING) == 3
    assert (
        "the user withdrew consent to its purpose, and its key was destroyed; erased"
        in capsys.readouterr().out
    )
    assert list((tmp_path / "again").glob("*.mcap")) == []


def test_a_clip_that_leaves_meanwhile_is_told(
    car: Car, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    car.spool.erase(SAFETY, WAITING)
    assert car.ask("--copy", str(tmp_path / "mine"), "--clip", WAITING) == 3
    assert "if it has just left, look again" in capsys.readouterr().out


def test_a_link_in_the_place_of_a_file_is_not_followed(
    car: Car, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    car.sealed_file().rename(tmp_path / "elsewhere")
    car.sealed_file().symlink_to(tmp_path / "elsewhere")
    assert car.ask("--copy", str(tmp_path / "mine"), "--clip", WAITING) == 3
    assert "its file is not here" in capsys.readouterr().out


def test_while_an_agent_holds_the_lock(car: Car, tmp_path: Path) -> None:
    lock = DataLock(car.data)
    try:
        assert car.ask("--copy", str(tmp_path / "mine"), "--clip", WAITING) == 0
    finally:
        lock.release()


def test_a_damaged_ledger_is_told_and_the_rest_is_shown(car: Car, capsys: pytest.CaptureFixture[str]) -> None:
    flip(segment_paths(car.data / "ledger")[0])
    assert car.ask("--json") == 3
    answer = said(capsys)
    assert any(text.startswith("ledger: ") for text in answer["not_read"])
    assert clips_of(answer)[WAITING]["copy"]["state"] == "here"
    assert clips_of(answer)[DELIVERED]["delivery"]["verified"], "the journal has the receipt too"
    shutil.rmtree(car.data / "ledger")
    assert car.ask("--json") == 3
    answer = said(capsys)
    assert [one["state"] for one in answer["clips"]] == [
        "recording",
        "not_redacted",
        "waits",
        "delivered",
        "given_up",
    ]


def test_a_damaged_journal_is_told_and_the_ledger_is_shown(
    car: Car, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    car.journal.close()
    (car.data / "journal.db").write_bytes(b"SQLite format 3\0" * 400)
    assert car.ask("--copy", str(tmp_path / "mine"), "--json") == 3
    answer = said(capsys)
    assert "journal.db: can't be read" in "".join(answer["not_read"])
    assert {clip: one["state"] for clip, one in clips_of(answer).items()} == {
        RECORDING: "not_redacted",
        CAPTURED: "not_redacted",
        WAITING: "waits",
        DELIVERED: "delivered",
        DROPPED: "given_up",
    }
    assert (tmp_path / "mine" / f"{WAITING}.mcap").read_bytes() == car.content
    shutil.rmtree(car.data / "ledger")
    assert car.ask("--json") == 3
    states = {clip: one["state"] for clip, one in clips_of(said(capsys)).items()}
    assert states == dict.fromkeys((RECORDING, CAPTURED, WAITING), "unknown"), "by their files alone"


def test_one_damaged_row_does_not_hide_the_others(car: Car, capsys: pytest.CaptureFixture[str]) -> None:
    with sqlite3.connect(car.data / "journal.db") as db:
        db.execute("UPDATE clips SET cameras = x'ff' WHERE clip_id = ?", (WAITING,))
    db.close()
    assert car.ask("--json") == 3
    answer = said(capsys)
    assert f"the row of clip {WAITING} is damaged" in answer["not_read"][0]
    assert clips_of(answer)[WAITING]["state"] == "waits", "the ledger knows it"


def test_an_unverified_receipt_is_said_to_be_one(car: Car, capsys: pytest.CaptureFixture[str]) -> None:
    (car.root / "policies" / "cn.signed").unlink()
    assert car.ask("--json") == 0
    delivery = clips_of(said(capsys))[DELIVERED]["delivery"]
    assert (delivery["verified"], delivery["stored_wall_ns"]) == (False, None)
    assert "no policy of region cn is in force here" in delivery["why_not_verified"]


def test_a_vehicle_that_never_ran(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    create_keys(tmp_path)
    (tmp_path / "data").mkdir()
    assert main(["vehicle", "data", str(tmp_path)]) == 0
    assert "nothing is known to have been collected" in capsys.readouterr().out
    assert list((tmp_path / "data").iterdir()) == []
    assert main(["vehicle", "data", str(tmp_path), "--data", str(tmp_path / "none")]) == 3
    assert "give the agent's [storage] dir with --data" in capsys.readouterr().out
    assert main(["vehicle", "data", str(tmp_path / "none")]) == 1
    assert "is not a vehicle's directory" in capsys.readouterr().err


def test_what_stops_copying_leaves_nothing(car: Car, capsys: pytest.CaptureFixture[str]) -> None:
    assert car.ask("--copy", "/proc/nobody/mine") == 1
    assert "/proc/nobody" in capsys.readouterr().err


def test_a_ledger_that_the_key_before_signed(car: Car, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["vehicle", "rotate", str(car.root)]) == 0
    assert main(["vehicle", "rotate", str(car.root), "--finish", "--anyway"]) == 0
    assert KeyFiles(car.root).device_key_id() != car.keys.device_key_id()
    capsys.readouterr()
    assert car.ask("--json") == 0
    assert said(capsys)["not_read"] == []
    shutil.rmtree(car.root / "keys" / "rotations")
    assert car.ask("--json") == 3, "nothing says any more whose key that was"
    assert "bad_signature" in said(capsys)["not_read"][0]


def test_a_full_disk_leaves_nothing(car: Car, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, before[1]))
    try:
        assert car.ask("--copy", str(tmp_path / "mine")) == 1
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert "nothing was left in" in capsys.readouterr().err
    assert not (tmp_path / "mine").exists()


def test_the_beginning_of_an_id_that_several_have(car: Car, capsys: pytest.CaptureFixture[str]) -> None:
    assert car.ask("--clip", "000") == 1
    assert "begins 5 clip ids" in capsys.readouterr().err


def test_without_a_name_no_answer_is_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    create_keys(tmp_path)
    (tmp_path / "data").mkdir()
    assert main(["vehicle", "data", str(tmp_path), "--region", str(tmp_path)]) == 1
    assert "nothing readable names the vehicle" in capsys.readouterr().err


@needs_softhsm
def test_with_keys_in_a_token(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with using(SoftToken(tmp_path / "token")) as token:
        car = Car(tmp_path, token.element())
        capsys.readouterr()
        assert car.ask("--json") == 0, "the catalogue needs no token"
        assert clips_of(said(capsys))[WAITING]["copy"]["state"] == "here"
        out = tmp_path / "mine"
        assert car.ask("--copy", str(out), "--clip", WAITING) == 1
        assert "this vehicle's keys are in a token; name it" in capsys.readouterr().err
        token.take_out()
        assert car.ask("--copy", str(out), "--clip", WAITING, *token.options()) == 1
        assert token.label in capsys.readouterr().err
        assert not out.exists()
        token.put_back()
        assert car.ask("--copy", str(out), "--clip", WAITING, *token.options()) == 0
        assert (out / f"{WAITING}.mcap").read_bytes() == car.content
        car.journal.close()


def test_the_regions_side(car: Car, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    region = str(car.region.root)
    out = tmp_path / "answer"
    assert main(["region", "data", region, "--vehicle", "car-1", "--copy", str(out), "--json"]) == 0
    answer = said(capsys)
    assert answer == json.loads((out / "catalogue.json").read_text())
    (one,) = answer["clips"]
    assert (one["clip"], one["state"], one["purpose"], one["file"]) == (
        DELIVERED,
        "stored",
        "safety",
        f"{DELIVERED}.mcap",
    )
    assert one["fired"] == [{"campaign": "crossing", "version": 3, "wall_ns": FIRED_NS}]
    assert "heads of persons painted over" in one["removed"]
    assert (out / one["file"]).read_bytes() == car.delivered
    assert car.ask("--answers", str(out / "catalogue.json"), "--json") == 0
    assert clips_of(said(capsys))[DELIVERED]["at_region"]["fits"] == "held"
    assert car.ask("--region", region) == 0
    assert "the region holds this file" in capsys.readouterr().out
    assert car.ask("--region", region, "--answers", str(out / "catalogue.json")) == 1
    assert "two answers of region cn" in capsys.readouterr().err
    assert main(["region", "data", region, "--vehicle", "car-1"]) == 0
    assert "region cn stores 1 clips of car-1" in capsys.readouterr().out
    assert main(["region", "data", region, "--vehicle", "car-2"]) == 1
    assert "no vehicle car-2 is enrolled" in capsys.readouterr().err
    assert main(["region", "data", region, "--vehicle", "../car-1"]) == 2


@pytest.mark.parametrize(
    ("where", "why"),
    [
        ("unchecked", "nobody has checked yet whether other people can be recognised in it"),
        ("quarantine", "it was checked, and other people may be recognised in it"),
    ],
)
def test_a_clip_that_the_region_holds_back_is_named_and_not_copied(
    car: Car, tmp_path: Path, capsys: pytest.CaptureFixture[str], where: str, why: str
) -> None:
    region = car.region
    ClipStore(region.store).move("car-1", DELIVERED, ClipStore(region.root / where))
    out = tmp_path / "answer"
    command = ["region", "data", str(region.root), "--vehicle", "car-1"]
    assert main([*command, "--copy", str(out), "--json"]) == 3
    (one,) = said(capsys)["clips"]
    assert (one["clip"], one["state"], one["why_no_copy"], one["file"]) == (DELIVERED, "stored", why, "")
    assert [path.name for path in out.iterdir()] == ["catalogue.json"]
    assert car.ask("--region", str(region.root)) == 0
    assert "the region holds this file" in capsys.readouterr().out


def test_what_the_region_does_not_hold_as_it_receipted(
    car: Car, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    about = car.region.store / "car-1" / f"{DELIVERED}.json"
    sound = about.read_text()
    about.write_text(sound.replace(json.loads(sound)["sealed_sha256"], "0" * 64))
    assert car.ask("--region", str(car.region.root)) == 3
    assert f"region cn: clip {DELIVERED}: the region holds another file" in capsys.readouterr().out
    about.unlink()
    assert car.ask("--region", str(car.region.root)) == 3
    assert "its answer does not have it" in capsys.readouterr().out
    about.write_text(sound)
    flip(about.with_suffix(".mcap"))
    assert (
        main(["region", "data", str(car.region.root), "--vehicle", "car-1", "--copy", str(tmp_path / "o")])
        == 3
    )
    assert f"no copy: {about.with_suffix('.mcap')}" in capsys.readouterr().out
    answer = tmp_path / "answer.json"
    answer.write_text("{}")
    assert car.ask("--answers", str(answer)) == 1
    assert f"{answer}: is no answer of a region" in capsys.readouterr().err


def test_a_clip_that_is_over_at_the_region(
    car: Car, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert all(over for _, over in expire(car.region, car.route.policy, STORED_WALL_NS + 400 * DAY_NS))
    assert car.ask("--region", str(car.region.root), "--json") == 0
    assert clips_of(said(capsys))[DELIVERED]["at_region"]["fits"] == "over"
    region = ["region", "data", str(car.region.root), "--vehicle", "car-1"]
    assert main([*region, "--copy", str(tmp_path / "all")]) == 0
    assert "no copy: removed after" in capsys.readouterr().out
    assert main([*region, "--copy", str(tmp_path / "one"), "--clip", DELIVERED]) == 3
    capsys.readouterr()
    assert main([*region, "--json"]) == 0
    answer = tmp_path / "answer.json"
    other = said(capsys)
    other["clips"][0]["signed"] = "AAAA"
    answer.write_text(json.dumps(other))
    assert car.ask("--answers", str(answer)) == 3
    assert "its signature does not show it" in capsys.readouterr().out
    other["vehicle"] = "car-2"
    answer.write_text(json.dumps(other))
    assert car.ask("--answers", str(answer)) == 1
    assert "is about car-2, not car-1" in capsys.readouterr().err


@pytest.mark.skipif(os.geteuid() != 0, reason="needs another user")
def test_nothing_of_the_agents_changes_hands_when_root_copies() -> None:
    folder = Path(tempfile.mkdtemp(dir="/tmp"))
    try:
        folder.chmod(0o755)
        car = Car(folder)
        car.journal.close()
        car.root.chmod(0o755)  # the agent's user must get there
        for path in (car.data, *car.data.rglob("*")):
            os.chown(path, 54321, 54321)
        assert car.ask("--copy", str(folder / "mine"), "--clip", WAITING) == 0
        assert {path.stat().st_uid for path in (car.data, *car.data.rglob("*"))} == {54321}
        assert {path.stat().st_uid for path in (folder / "mine").iterdir()} == {0}
    finally:
        shutil.rmtree(folder)
