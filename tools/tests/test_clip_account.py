"""What ``fsdctl clip info`` answers of a redaction; the figures are those of the documentation."""

from __future__ import annotations

import re
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from fsd_agent.records.redaction import (
    CameraRecord,
    CheckRecord,
    RedactionRecord,
    ScoreRecord,
    SourceRecord,
)
from fsd_tools.clip.account import account_lines
from fsd_tools.clip.sure import MEASURED, WHERE, sure_in_words

BOTH = ("fastestdet-352@2022.7", "nanodet-m-416-int8@2022.11")
STANDARD = ("faces=head_zone", "plates=plate_band", "strictness=standard", "location=drop")
RECORD = RedactionRecord(
    STANDARD,
    BOTH,
    300,
    900,
    0.125,
    "dropped",
    version=2,
    models=tuple(SourceRecord(one, "ab" * 32, 100, (ScoreRecord("head", 0.25, 0.12),)) for one in BOTH),
    cameras=(CameraRecord("front", 1280, 720, 300, 0.125, 1, "2x150,4x150"),),
    check=CheckRecord(("yunet-n@1",), ("cd" * 32,), 9, ""),
)


def facts(record: RedactionRecord) -> dict[str, Any]:
    return {
        "redaction": asdict(record),
        "cameras": [{"name": "front"}],
        "signals": [{"samples": 5}, {"samples": 2}],
        "annotations": {"frames": 100, "boxes": {"car": 3, "pedestrian": 4}},
        "firings": [{}],
        "fixes": 0,
    }


def said(record: RedactionRecord) -> str:
    return "\n".join(f"{name}: {text}" for name, text in account_lines(facts(record)))


def test_a_record_answers_what_by_what_how_sure_and_what_is_left() -> None:
    text = said(RECORD)
    for part in (
        "removed: heads of persons painted over, number plates' part of vehicles painted over, positions",
        f"by: {BOTH[1]}: 100 looks; heads from 0.25, 0.12 where another model saw the same; package {'ab' * 8}",
        "how sure: 94.6 % of heads and 92.3 % of plate bands",
        WHERE,
        "checked: 9 frames again after encoding, by yunet-n@1",
        "filled: 900 rectangles in 300 frames, 12.5% of all pixels",
        "front: 12.5% of 1280x720, 2 to 4 rectangles a frame",
        "still in it: video of front, 7 samples of 2 signals, 7 detections in 100 frames, 1 firings with",
        "what they saw, 0 positions (dropped)",
    ):
        assert part in text


def test_the_time_zone_is_told_as_what_is_still_in_it() -> None:
    assert "time zone" not in said(RECORD)
    assert "0 positions (dropped), the time zone" in said(replace(RECORD, utc_offset_h=0))


def test_a_second_look_is_told() -> None:
    assert "a second time, where" not in said(RECORD)
    assert "24 frames a second time, where somebody" in said(replace(RECORD, looked_again=24))


def test_a_second_redaction_is_told_with_its_cause() -> None:
    check = CheckRecord(("yunet-n@1",), (), 9, "a face in front")
    assert "a second time with strict rules: a face in front" in said(replace(RECORD, check=check))


def test_a_record_of_the_first_version_says_what_it_can() -> None:
    old = RedactionRecord(("faces=head_zone",), ("firmware",), 60, 120, 0.25, "kept")
    text = said(old)
    assert "by: firmware\n" in text
    assert "how sure: unmeasured: firmware's detections alone" in text
    assert "checked: by nobody on the vehicle" in text
    assert "removed: heads of persons painted over\n" in text


def test_one_score_is_said_once_and_nobody_is_said_to_be_nobody() -> None:
    firmware = SourceRecord("firmware", "", 3, (ScoreRecord("plate", 0.15, 0.15),))
    assert "by: firmware: 3 looks; plates from 0.15\n" in said(
        replace(RECORD, sources=("firmware",), models=(firmware,))
    )
    none = RedactionRecord((), (), 0, 0, 0.0, "kept")
    assert "by: nobody" in said(none)
    assert "removed: nothing" in said(none)


def test_a_count_that_can_t_be_read_is_said() -> None:
    camera = replace(RECORD.cameras[0], counts="what")
    assert "a count that can't be read" in said(replace(RECORD, cameras=(camera,)))
    assert "no rectangles" in said(replace(RECORD, cameras=(replace(camera, counts=""),)))


@pytest.mark.parametrize(
    ("sources", "rules", "words"),
    [
        (("firmware",), STANDARD, "unmeasured: firmware"),
        ((), STANDARD, "unmeasured: firmware"),
        (("nanodet-m-416@1",), STANDARD, "unmeasured: this combination"),
        (BOTH, ("faces=head_zone",), "unmeasured: this combination"),
        (BOTH[1:], ("strictness=strict",), "unmeasured: this combination"),
        (BOTH, ("strictness=strict",), "98.9 % of heads"),
        (("firmware", *BOTH), STANDARD, "94.6 % of heads"),
        (BOTH[1:], STANDARD, "92.4 % of heads"),
    ],
)
def test_how_sure(sources: tuple[str, ...], rules: tuple[str, ...], words: str) -> None:
    assert sure_in_words(sources, rules).startswith(words)


def test_the_figures_are_those_of_the_documentation() -> None:
    text = (Path(__file__).resolve().parents[2] / "docs" / "privacy.md").read_text(encoding="utf-8")
    names = {
        (2, "standard"): "`standard`",
        (2, "strict"): "`strict`",
        (1, "standard"): "NanoDet alone on two halves, `standard`",
    }
    for (models, strictness), known in MEASURED.items():
        line = re.search(rf"^\| {re.escape(names[len(models), strictness])} \| (.*) \|$", text, re.MULTILINE)
        assert line is not None
        cells = [cell.strip() for cell in line[1].split("|")]
        assert (float(cells[0]), float(cells[2])) == (known.heads, known.plates)
