"""Clips are receipted when they are durable, and reach readers when they are checked; what fails is set apart with a report."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest

from fsd_agent.records.check import Sight
from fsd_agent.records.clip import Clip, RedactedClip
from fsd_agent.records.redaction import CameraRecord, RedactionRecord
from fsd_agent.records.region import FaceRule, LocationRule, PlateRule, RedactionRules
from fsd_agent.testing.checker import MarkerChecker
from fsd_agent.testing.codec import PictureCodec, PictureFrame
from fsd_agent.testing.streams import row
from fsd_agent.wire.clip import ClipContents, decode_clip, encode_clip
from fsd_firmware.samples import EncodedPacket, empty_gnss, empty_signals
from fsd_tools.region.check import check_clip
from fsd_tools.region.layout import RegionDir
from fsd_tools.region.release import Releaser, Report
from fsd_tools.region.store import ClipStore, StoredClip

STEP = 50_000_000
FACE = (40, 200, 250)
RULES = RedactionRules(FaceRule.HEAD_ZONE, PlateRule.NONE, 0, 1, LocationRule.DROP, 1.0)
NOTHING = RedactionRules(FaceRule.NONE, PlateRule.NONE, 0, 1, LocationRule.DROP, 1.0)
CLIP, OTHER = "0" * 31 + "1", "0" * 31 + "2"


def clip_bytes(
    clip_id: str = CLIP,
    *,
    face: bool = False,
    black: float = 0.25,
    said: tuple[str, ...] = ("faces=head_zone",),
    record: RedactionRecord | None = None,
) -> bytes:
    frames = []
    for n in range(4):
        bgr = np.full((40, 80, 3), 120, np.uint8)
        bgr[: round(40 * black)] = 0
        if face and n == 3:
            bgr[20:32, 30:44] = FACE
        frames.append(PictureFrame(n * STEP, bgr))
    made = PictureCodec().encode("front", frames, fps=20, keyframe_every=2)
    packets = tuple(EncodedPacket("front", p.t_ns, "av1", p.keyframe, p.data) for p in made)
    where = row(0, 4 * STEP, cameras=("front",), signals=())
    clip = Clip(where, (), (), empty_signals(), packets, (), empty_gnss(), ())
    cameras = (CameraRecord("front", 80, 40, 4, 0.25, 1, "1x4"),)
    done = record or RedactionRecord(said, ("firmware",), 4, 4, 0.25, "dropped", version=2, cameras=cameras)
    return encode_clip(RedactedClip(clip, done), vehicle="car-1", provenance={})


def contents(**changes: object) -> ClipContents:
    return decode_clip(clip_bytes(**changes))  # type: ignore[arg-type]  # the helper's own


def facts(clip_id: str) -> Callable[[int], StoredClip]:
    return lambda size: StoredClip(clip_id, "car-1", "cn", "ab" * 32, size, size, 5, {})


class Yard:
    def __init__(self, folder: Path) -> None:
        self.region = RegionDir(folder)
        self.unchecked = ClipStore(self.region.unchecked)
        self.told: list[tuple[str, dict[str, str | int]]] = []
        self.checker = MarkerChecker({Sight.FACE: FACE})
        for root in self.region.holding:
            root.mkdir()

    def put(self, clip_id: str, data: bytes) -> None:
        self.unchecked.put("car-1", clip_id, [data], check=lambda _: None, facts=facts(clip_id))

    def releaser(self, rules: RedactionRules = RULES) -> Releaser:
        return Releaser(
            self.region,
            rules,
            PictureCodec(),
            [self.checker],
            lambda name, fields: self.told.append((name, dict(fields))),
        )

    def files(self, root: Path) -> list[str]:
        return sorted(path.name for path in root.rglob("*") if path.is_file())


@pytest.fixture
def yard(tmp_path: Path) -> Yard:
    return Yard(tmp_path)


def test_what_passes_is_released_whole(yard: Yard) -> None:
    data = clip_bytes()
    yard.put(CLIP, data)
    releaser = yard.releaser()
    assert releaser.step()
    assert not releaser.step()
    assert yard.files(yard.region.store) == [f"{CLIP}.json", f"{CLIP}.mcap"]
    assert (yard.region.store / "car-1" / f"{CLIP}.mcap").read_bytes() == data
    assert yard.files(yard.region.unchecked) == yard.files(yard.region.quarantine) == []
    assert yard.told == [("released", {"vehicle": "car-1", "clip": CLIP, "frames": 4})]
    assert yard.checker.full == [True] * 4


def test_what_fails_is_never_in_the_store_and_the_report_says_why(yard: Yard) -> None:
    yard.put(CLIP, clip_bytes(face=True))
    assert yard.releaser().step()
    assert yard.files(yard.region.store) == yard.files(yard.region.unchecked) == []
    assert yard.files(yard.region.quarantine) == [f"{CLIP}.json", f"{CLIP}.mcap", f"{CLIP}.report"]
    text = (yard.region.quarantine / "car-1" / f"{CLIP}.report").read_bytes()
    report = msgspec.json.decode(text, type=Report)
    assert (report.clip, report.vehicle, report.frames, report.fault) == (CLIP, "car-1", 4, "")
    assert report.checkers == {yard.checker.source: yard.checker.digest}
    assert report.misses == {"face": 1}
    assert report.findings == ("face in front at 0.150 s (30, 20, 44, 32), marker-checker@1 0.90",)
    ((name, told),) = yard.told
    assert name == "quarantined"
    assert told["reason"] == report.findings[0]


def test_a_model_that_breaks_or_video_that_does_is_not_passed(yard: Yard) -> None:
    yard.put(CLIP, clip_bytes())
    yard.checker.fail_next()
    yard.releaser().step()
    assert yard.files(yard.region.store) == []
    report = json.loads((yard.region.quarantine / "car-1" / f"{CLIP}.report").read_bytes())
    assert report["fault"] == "marker-checker@1: told to fail"
    broken = check_clip(contents(), PictureCodec(fail_decode_at=2), [yard.checker])
    assert broken is not None
    assert not broken.passed
    assert "told to fail" in broken.fault


def test_one_that_can_t_be_read_lets_the_next_have_its_turn_and_is_tried_again(yard: Yard) -> None:
    yard.put(CLIP, b"no clip")
    yard.put(OTHER, clip_bytes())
    releaser = yard.releaser()
    assert [releaser.step(), releaser.step(), releaser.step()] == [True, True, False]
    assert [name for name, _ in yard.told] == ["check_failed", "released"]
    assert yard.files(yard.region.unchecked) == [f"{CLIP}.json", f"{CLIP}.mcap"]
    assert releaser.step()
    assert [name for name, _ in yard.told][2:] == ["check_failed"]


def test_a_fault_that_nobody_foresaw_is_told_and_releases_nothing(yard: Yard) -> None:
    class Odd(MarkerChecker):
        def look(self, *_: object, **__: object):  # type: ignore[no-untyped-def,override]  # noqa: ANN202
            raise ZeroDivisionError("odd")

    yard.put(CLIP, clip_bytes())
    yard.checker = Odd({})
    yard.releaser().step()
    assert yard.told[0][1]["reason"] == "unexpected ZeroDivisionError: odd"
    assert yard.files(yard.region.store) == []


def test_a_stop_in_the_middle_leaves_the_clip_for_another_time(yard: Yard) -> None:
    yard.put(CLIP, clip_bytes(face=True))
    releaser = yard.releaser()
    releaser.stop()
    releaser.step()
    assert yard.files(yard.region.unchecked) == [f"{CLIP}.json", f"{CLIP}.mcap"]
    assert yard.told == []
    releaser.run()


def test_the_thread_releases_what_comes_until_it_is_stopped(yard: Yard) -> None:
    released = threading.Event()
    releaser = Releaser(
        yard.region,
        RULES,
        PictureCodec(),
        [yard.checker],
        lambda name, _: released.set() if name == "released" else None,
    )
    thread = threading.Thread(target=releaser.run)
    yard.put(CLIP, clip_bytes())
    thread.start()
    try:
        assert released.wait(60)
    finally:
        releaser.stop()
        thread.join(60)
    assert not thread.is_alive()
    assert yard.files(yard.region.store) == [f"{CLIP}.json", f"{CLIP}.mcap"]


@pytest.mark.parametrize("done", range(5))
def test_a_move_that_was_cut_anywhere_is_completed_and_loses_nothing(yard: Yard, done: int) -> None:
    """The steps of a move are links and unlinks; after each of them power may fail, and a start sweeps."""
    data = clip_bytes()
    yard.put(CLIP, data)
    old, new = yard.region.unchecked / "car-1", yard.region.store / "car-1"
    new.mkdir()
    steps: list[Callable[[], object]] = [
        lambda: (new / f"{CLIP}.mcap").hardlink_to(old / f"{CLIP}.mcap"),
        lambda: (new / f"{CLIP}.json").hardlink_to(old / f"{CLIP}.json"),
        (old / f"{CLIP}.json").unlink,
        (old / f"{CLIP}.mcap").unlink,
    ]
    for step in steps[:done]:
        step()
    stores = [ClipStore(root) for root in yard.region.holding]
    for store in stores:
        store.sweep()
    assert any(store.find("car-1", CLIP) for store in stores)
    releaser = yard.releaser()
    while releaser.step():
        pass
    assert yard.files(yard.region.store) == [f"{CLIP}.json", f"{CLIP}.mcap"]
    assert (new / f"{CLIP}.mcap").read_bytes() == data
    assert yard.files(yard.region.unchecked) == []


@pytest.mark.parametrize("place", ["store", "quarantine"])
def test_an_interrupted_move_ends_where_it_was_going(yard: Yard, place: str) -> None:
    """The second check might say something else."""
    yard.put(CLIP, clip_bytes(face=place == "store"))
    root = yard.region.root / place
    old, new = yard.region.unchecked / "car-1", root / "car-1"
    new.mkdir()
    for suffix in ("mcap", "json"):
        (new / f"{CLIP}.{suffix}").hardlink_to(old / f"{CLIP}.{suffix}")
    yard.releaser().step()
    assert yard.files(root) == [f"{CLIP}.json", f"{CLIP}.mcap"]
    assert yard.files(yard.region.unchecked) == []
    assert yard.checker.looked_at == []


def test_the_first_received_is_the_first_checked(yard: Yard) -> None:
    for clip_id in (OTHER, CLIP):
        yard.put(clip_id, clip_bytes())
    for age, clip_id in ((10, OTHER), (20, CLIP)):
        os.utime(yard.region.unchecked / "car-1" / f"{clip_id}.json", (age, age))
    assert yard.unchecked.clips() == [("car-1", OTHER), ("car-1", CLIP)]


# The check itself


def passed(clip: ClipContents, asked: RedactionRules | None = None) -> bool:
    looked = check_clip(clip, PictureCodec(), [MarkerChecker({Sight.FACE: FACE})], asked)
    assert looked is not None
    return looked.passed


def test_the_policy_may_ask_for_more_than_the_record_says_and_never_for_less() -> None:
    none = contents(face=True, said=("faces=none", "plates=none"))
    assert passed(none)
    assert passed(none, NOTHING)
    assert not passed(none, RULES)
    assert not passed(contents(face=True), NOTHING)
    assert not passed(contents(face=True, said=()), NOTHING)


def test_a_record_that_claims_more_than_is_black_is_a_miss() -> None:
    assert passed(contents(black=0.2))
    looked = check_clip(contents(black=0.175), PictureCodec(), [])
    assert looked is not None
    (one,) = looked.verdict.findings
    assert str(one).startswith("not_painted in front at 0.000 s (0, 0, 80, 40), record 1.00")


def test_a_record_of_the_first_version_is_enough_and_one_that_is_none_is_not() -> None:
    first = RedactionRecord(("faces=head_zone",), ("firmware",), 4, 4, 0.25, "dropped")
    assert passed(contents(record=first))
    assert not passed(contents(record=first, face=True))
    clip = contents()
    clip.provenance["redaction"] = {"rules": 7}
    assert not passed(clip)
