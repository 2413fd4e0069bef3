"""What a region has enough of: what comes into the sketch, from whom, how much, and how it goes with a push."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsd_agent.records.campaign import CampaignSet
from fsd_agent.records.firing import Firing, JudgedFiring
from fsd_agent.records.novelty import CODE_BYTES, SKETCH_MAX, ClipCode, Maker, NoveltyMode, Sketch, Subject
from fsd_agent.records.program import PROGRAM_VERSION, Node, Op, Program
from fsd_agent.rules.selection.novelty import judge_novelty
from fsd_agent.testing.campaigns import plain_campaign
from fsd_agent.testing.regions import sample_redacted_clip
from fsd_agent.wire.clip import encode_clip
from fsd_tools.errors import ToolError
from fsd_tools.main import main
from fsd_tools.region import sketch as made
from fsd_tools.region.layout import RegionDir
from fsd_tools.region.sketch import Received, build_sketch, read_sketch, sketch_for, write_sketch

ABOUT = Subject("crossing", Maker.BOXES, "boxes@1", "front")


def code(at: int, aside: int = 0, about: Subject = ABOUT) -> ClipCode:
    """Far from every other ``at``, near those of other ``aside``."""
    values = np.zeros(CODE_BYTES, np.int8)
    values[at], values[-1] = 100, aside
    return ClipCode(about, values.tobytes())


def received(at: int, count: int, vehicles: int, about: Subject = ABOUT) -> list[Received]:
    return [Received(code(at, one % 20, about), f"car-{one % vehicles}") for one in range(count)]


def test_enough_is_so_many_clips_from_so_many_vehicles() -> None:
    some = [*received(0, 20, 3), *received(1, 19, 3), *received(2, 40, 2)]
    found = build_sketch("cn", some, enough=20, vehicles=3)
    assert len(found.codes) == 1
    assert judge_novelty(code(0), (), found, NoveltyMode.NORMAL).drop is not None
    assert judge_novelty(code(1), (), found, NoveltyMode.NORMAL).drop is None
    assert judge_novelty(code(2), (), found, NoveltyMode.NORMAL).drop is None
    assert len(build_sketch("cn", some, enough=19, vehicles=2).codes) == 3


def test_a_clip_counts_for_one_code_and_campaigns_stay_apart() -> None:
    assert len(build_sketch("cn", received(0, 60, 9), enough=20, vehicles=3).codes) == 1
    other = replace(ABOUT, campaign_id="other")
    found = build_sketch("cn", [*received(0, 20, 9), *received(0, 19, 9, other)], enough=20, vehicles=3)
    assert {one.subject for one in found.codes} == {ABOUT}


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 20), st.integers(0, 4)), max_size=40),
    st.randoms(use_true_random=False),
)
def test_the_order_of_clips_does_not_matter(some: list[tuple[int, int, int]], random: Random) -> None:
    clips = [Received(code(at, aside), f"car-{vehicle}") for at, aside, vehicle in some]
    shuffled = clips.copy()
    random.shuffle(shuffled)
    assert build_sketch("cn", clips, enough=3, vehicles=2) == build_sketch(
        "cn", shuffled, enough=3, vehicles=2
    )


def test_beyond_what_is_sent_those_with_the_most_clips_stay() -> None:
    rng = np.random.default_rng(1)
    some = [
        Received(ClipCode(replace(ABOUT, camera=f"c{at // 100}"), rng.bytes(CODE_BYTES)), "car")
        for at in range(SKETCH_MAX + 50)
    ]
    twice = [some[7], *some]
    found = build_sketch("cn", twice, enough=1, vehicles=1)
    assert len(found.codes) == SKETCH_MAX
    assert some[7].code in found.codes
    assert made.CLIPS_MOST >= 100


def test_the_file_is_the_regions_own(tmp_path: Path) -> None:
    region = RegionDir(tmp_path)
    region.sketch.parent.mkdir()
    assert read_sketch(region, "cn") is None
    kept = Sketch("cn", (code(0),))
    assert write_sketch(region, kept) == region.sketch.stat().st_size
    assert read_sketch(region, "cn") == kept
    with pytest.raises(ToolError, match="of region 'cn', this is 'eu'"):
        read_sketch(region, "eu")
    region.sketch.write_bytes(b"\x93")
    with pytest.raises(ToolError, match=str(region.sketch)):
        read_sketch(region, "cn")


def test_a_push_takes_what_is_about_its_campaigns() -> None:
    asks = plain_campaign(
        Program(PROGRAM_VERSION, (Node(Op.LITERAL, (), value=True),)), "crossing", novelty=NoveltyMode.NORMAL
    )
    kept = Sketch("cn", (code(0), code(0, about=replace(ABOUT, campaign_id="gone"))))
    assert sketch_for(CampaignSet("cn", 1, (asks,)), kept) == Sketch("cn", (code(0),))
    assert sketch_for(CampaignSet("cn", 1, (replace(asks, novelty=NoveltyMode.OFF),)), kept) is None
    assert sketch_for(CampaignSet("cn", 1, (asks,)), None) is None


def stored(region: RegionDir, vehicle: str, number: int, novelty: dict[str, str] | None) -> None:
    """A clip as the receiver stores it, as far as the sketch reads it."""
    clip_id = f"{number:032x}"
    provenance = {} if novelty is None else {"novelty": novelty}
    redacted = sample_redacted_clip(clip_id)
    firing = Firing("crossing", 1, redacted.clip.row.start_ns, ())
    judged = JudgedFiring(clip_id, firing, 0, clip_id, None)
    redacted = replace(redacted, clip=replace(redacted.clip, firings=(judged,)))
    data = encode_clip(redacted, vehicle=vehicle, provenance=provenance)
    folder = region.store / vehicle
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{clip_id}.mcap").write_bytes(data)
    (folder / f"{clip_id}.json").write_text("{}")


def test_the_command_reads_the_store_and_a_damaged_clip_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    region = RegionDir(tmp_path / "cn")
    assert main(["region", "init", str(region.root), "--id", "cn", "--jurisdiction", "CN"]) == 0
    novelty = {"maker": "boxes", "source": "boxes@1", "camera": "front", "code": code(0).values.hex()}
    for number in range(4):
        stored(region, f"car-{number % 2}", number, novelty)
    stored(region, "car-3", 9, None)
    (region.store / "car-3" / f"{10:032x}.json").write_text("{}")  # Its clip is gone
    capsys.readouterr()
    argv = ["region", "sketch", str(region.root), "--enough", "4", "--vehicles", "2"]
    assert main([*argv, "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["codes_received"], facts["codes"], facts["not_read"]) == (4, 1, [])
    assert facts["campaigns"] == {"crossing": 1}
    assert read_sketch(region, "cn") == Sketch("cn", (code(0),))
    stored(region, "car-3", 11, {**novelty, "code": "zz"})
    stored(region, "car-3", 12, novelty)
    whole = region.store / "car-3" / f"{12:032x}.mcap"
    whole.write_bytes(whole.read_bytes()[:-99])
    assert main(argv) == 0
    told = capsys.readouterr()
    assert "1 codes of 4 received" in told.out
    assert "  crossing: 1" in told.out
    assert f"{11:032x}.mcap: provenance: " in told.err
    assert f"{12:032x}.mcap: " in told.err
