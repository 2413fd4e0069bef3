"""The demo's account notices what it is there to notice."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from fsd_agent.adapters.sqlite_journal import SqliteJournal
from fsd_agent.records.clip import Clip, ClipRow, ClipState, RedactedClip, SealedClip
from fsd_agent.records.firing import Firing, JudgedFiring
from fsd_agent.records.purpose import Purpose
from fsd_agent.records.reasons import DropReason
from fsd_agent.records.redaction import RedactionRecord
from fsd_agent.wire.clip import encode_clip
from fsd_firmware.samples import EncodedPacket, empty_gnss, empty_signals
from fsd_tools.demo.account import Account, Heard, settle
from fsd_tools.rig.namespaces import Count

S = 1_000_000_000
WALL_NS = 1_780_000_000 * S
HOME = {"car-1": "cn", "car-2": "eu"}


class World:
    """Two vehicles that delivered one clip each, and dropped one firing each."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.heard = {vehicle: Heard() for vehicle in HOME}
        self.received = {region: Counter[str]() for region in HOME.values()}
        self.wire = {
            region: {
                vehicle: Count(9, 900) if region == home else Count(0, 0) for vehicle, home in HOME.items()
            }
            for region in HOME.values()
        }
        for number, (vehicle, region) in enumerate(HOME.items()):
            self._live(vehicle, region, f"{number:032x}")

    def journal(self, vehicle: str) -> Path:
        return self.root / vehicle / "journal.db"

    def store(self, region: str) -> Path:
        return self.root / region / "store"

    def clip(self, vehicle: str) -> Path:
        (path,) = (self.store(HOME[vehicle]) / vehicle).glob("*.mcap")
        return path

    def settle(self) -> Account:
        return settle(
            journals={vehicle: self.journal(vehicle) for vehicle in HOME},
            stores={region: self.store(region) for region in HOME.values()},
            home=HOME,
            heard=self.heard,
            received=self.received,
            wire=self.wire,
        )

    def _live(self, vehicle: str, region: str, clip_id: str) -> None:
        row = ClipRow(clip_id, region, Purpose.SAFETY, ClipState.STAGED, S, 2 * S, WALL_NS, ("front",), (), 1)
        kept = JudgedFiring("k" + clip_id, Firing("walker", 1, S, ()), S + WALL_NS, clip_id, None)
        drop = JudgedFiring(
            "d" + clip_id, Firing("walker", 1, S, ()), S + WALL_NS, None, DropReason.BUDGET_CLIPS, region
        )
        self.journal(vehicle).parent.mkdir(parents=True)
        journal = SqliteJournal(self.journal(vehicle))
        journal.accept((kept, drop), (row,))
        journal.captured(clip_id, cut=False)
        journal.sealed(SealedClip(clip_id, region, 500, bytes(32)))
        journal.delivered(clip_id, receipt=b"r")
        journal.close()
        for event in ("fired", "fired"):
            self.heard[vehicle].take({"event": event, "campaign": "walker"})
        for event in ("sealed", "sent", "delivered"):
            self.heard[vehicle].take({"event": event, "clip": clip_id})
        self.received[region][vehicle] += 500
        path = self.store(region) / vehicle / f"{clip_id}.mcap"
        path.parent.mkdir(parents=True)
        packet = EncodedPacket("front", S, "av1", keyframe=True, data=b"picture")
        clip = Clip(row, (kept,), (), empty_signals(), (packet,), (), empty_gnss(), ())
        record = RedactionRecord(("faces=head_zone",), ("firmware",), 1, 0, 0.0, "dropped")
        path.write_bytes(encode_clip(RedactedClip(clip, record), vehicle=vehicle, provenance={}))


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_a_good_run_has_no_complaints(world: World) -> None:
    account = world.settle()
    assert account.complaints == ()
    assert account.wire == {
        "car-1": {"cn": Count(9, 900), "eu": Count(0, 0)}, "car-2": {"cn": Count(0, 0), "eu": Count(9, 900)},
    }  # fmt: skip
    assert account.bytes_matrix == {"car-1": {"cn": 500, "eu": 0}, "car-2": {"cn": 0, "eu": 500}}
    assert [(row.fired, row.dropped, row.receipted) for row in account.campaigns] == [
        (2, {"budget_clips": 1}, 1)
    ] * 2


def off_the_diagonal(world: World) -> None:
    world.received["eu"]["car-1"] += 1


def torn(world: World) -> None:
    path = world.clip("car-1")
    path.write_bytes(path.read_bytes()[:-20])


def missing(world: World) -> None:
    world.clip("car-2").unlink()


def misplaced(world: World) -> None:
    path = world.clip("car-1")
    elsewhere = world.store("eu") / "car-1" / path.name
    elsewhere.parent.mkdir()
    shutil.copy(path, elsewhere)


def told_but_not_journalled(world: World) -> None:
    world.heard["car-1"].take({"event": "fired", "campaign": "walker"})


def in_progress(world: World) -> None:
    row = ClipRow("f" * 32, "cn", Purpose.SAFETY, ClipState.STAGED, S, 2 * S, WALL_NS, ("front",), (), 1)
    journal = SqliteJournal(world.journal("car-1"))
    journal.accept((JudgedFiring("x", Firing("walker", 1, S, ()), S, row.clip_id, None),), (row,))
    journal.close()
    world.heard["car-1"].take({"event": "fired", "campaign": "walker"})


def on_hold(world: World) -> None:
    world.heard["car-1"].take({"event": "hold", "reason": "no_region", "detail": "XX"})


def nothing_received(world: World) -> None:
    world.received["cn"].clear()


def a_syn(world: World) -> None:
    world.wire["eu"]["car-1"] = Count(1, 60)


def more_received_than_sent(world: World) -> None:
    world.wire["cn"]["car-1"] = Count(1, 499)


@pytest.mark.parametrize(
    ("plant", "says"),
    [
        (off_the_diagonal, "1 bytes of car-1 reached eu"),
        (torn, "does not open"),
        (missing, "does not open"),
        (misplaced, "no vehicle delivered it there"),
        (told_but_not_journalled, "told of 3 firings, its journal holds 2"),
        (in_progress, "still in progress"),
        (on_hold, "on hold: no_region: XX"),
        (nothing_received, "counted no bytes"),
        (a_syn, "1 packets of car-1 reached eu"),
        (more_received_than_sent, "cn received 500 bytes, but 499 were on the wire"),
    ],
)
def test_what_does_not_add_up_is_named(world: World, plant: Callable[[World], None], says: str) -> None:
    plant(world)
    assert any(says in complaint for complaint in world.settle().complaints)


def test_a_clip_without_video_is_not_whole(world: World) -> None:
    path = world.clip("car-1")
    row = replace(
        ClipRow(path.stem, "cn", Purpose.SAFETY, ClipState.STAGED, S, 2 * S, WALL_NS, ("front",), (), 1),
        cameras=("front",),
    )
    clip = Clip(row, (), (), empty_signals(), (), (), empty_gnss(), ())
    record = RedactionRecord((), (), 0, 0, 0.0, "dropped")
    path.write_bytes(encode_clip(RedactedClip(clip, record), vehicle="car-1", provenance={}))
    assert any("no video of front" in complaint for complaint in world.settle().complaints)
