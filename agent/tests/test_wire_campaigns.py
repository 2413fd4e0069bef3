"""The campaign set's bytes: golden, round trip, and everything that is refused."""

from __future__ import annotations

import hashlib
import itertools
import struct
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fsd_agent.records.campaign import LIMITS, SECOND_NS, Budget, Campaign, CampaignSet, CaptureSpec
from fsd_agent.records.head import Head, HeadLayer
from fsd_agent.records.link_rule import LinkRule, Links
from fsd_agent.records.novelty import ClipCode, Maker, NoveltyMode, Sketch, Subject
from fsd_agent.records.program import (
    MAX_DEPTH,
    MAX_NODES,
    MAX_WINDOW_NS,
    PROGRAM_VERSION,
    Node,
    Op,
    Program,
    ProgramError,
)
from fsd_agent.records.program import names as program_names
from fsd_agent.records.purpose import Purpose
from fsd_agent.records.schedule import WEEK_NS, LocalOffset, Schedule, WeekSpan
from fsd_agent.records.selection_rule import SELECTS_AS_USUAL, Cameras, Fault, SelectionRule
from fsd_agent.records.worth import DEFAULT_WEIGHTS, Weights
from fsd_agent.records.zone import Zone
from fsd_agent.wire.campaigns import CampaignFormatError, decode_set, encode_set

SPEED = Node(Op.SIGNAL_DOUBLE, (), "Vehicle.Speed")
PROGRAM = Program(
    PROGRAM_VERSION,
    (
        SPEED,
        Node(Op.LITERAL, (), 30.0),
        Node(Op.GT, (0, 1)),
        Node(Op.DETECTIONS),
        Node(Op.FIELD, (), "kind"),
        Node(Op.LITERAL, (), "pedestrian"),
        Node(Op.EQ, (4, 5)),
        Node(Op.EXISTS, (3, 6)),
        Node(Op.AND, (2, 7)),
    ),
)
CAMPAIGN = Campaign(
    id="braking",
    version=3,
    purpose=Purpose.SAFETY,
    description="Why.",
    region_id="cn",
    source='Vehicle.Speed > 30.0 && detections.exists(d, d.kind == "pedestrian")',
    program=PROGRAM,
    hold_ns=300_000_000,
    cooldown_ns=5_000_000_000,
    capture=CaptureSpec(3_000_000_000, 2_000_000_000, ("front",), ("Vehicle.Speed",)),
    budget=Budget(10, None),
    sample_ratio=0.5,
    priority=-2,
    valid_from_wall_ns=1_700_000_000_000_000_000,
    valid_until_wall_ns=1_800_000_000_000_000_000,
)
WEEK = Schedule(
    (WeekSpan(25_200 * SECOND_NS, 32_400 * SECOND_NS), WeekSpan(86_400 * SECOND_NS, WEEK_NS)),
    (LocalOffset(0, 28_800), LocalOffset(1_750_000_000 * SECOND_NS, -3_600)),
)
DEPOT = Zone("depot", ((31.2, 121.4), (31.2, 121.5), (31.3, 121.45)))
HEAD = Head(
    "crossing",
    "nanodet@1",
    "front",
    8,
    (
        HeadLayer(2, 3, struct.pack("<6h", 1, -2, 3, -4, 32767, -32768), (-1, 2**45), 6),
        HeadLayer(1, 2, struct.pack("<2h", 258, -1), (0,), 0),
    ),
    0.125,
)
FULL = replace(
    CAMPAIGN,
    id="everything",
    program=Program(
        PROGRAM_VERSION,
        (
            SPEED,
            Node(Op.RATE, (0,), None, 2_000_000_000),
            Node(Op.LITERAL, (), -4.5),
            Node(Op.LT, (1, 2)),
            Node(Op.ONCE, (3,), None, MAX_WINDOW_NS),
            Node(Op.ZONE, (), "depot"),
            Node(Op.AND, (4, 5)),
            Node(Op.HEAD, (), "crossing"),
            Node(Op.GT, (7, 2)),
            Node(Op.AND, (6, 8)),
            Node(Op.MODE, (), "assisted"),
            Node(Op.AND, (9, 10)),
        ),
    ),
    rearm_ns=1_500_000_000,
    schedule=WEEK,
    zones=(DEPOT,),
    heads=(HEAD,),
    uplink=LinkRule(Links.ANY, roaming=True, urgent=True, deadline_ns=86_400 * SECOND_NS),
    selection=SelectionRule(frozenset({Fault.DIRTY, Fault.FROZEN}), Cameras.ALL, confirm=False),
    novelty=NoveltyMode.STRICT,
    weights=Weights(0.0, 0.5, 1.0, 2.0, 3.0, 100.0),
)
SKETCH = Sketch("cn", (ClipCode(Subject("everything", Maker.BOXES, "boxes@1", "front"), bytes(range(96))),))
SET = CampaignSet("cn", 7, (CAMPAIGN, FULL), SKETCH)
GOLDEN_SHA256 = "f1baa63c2b9907fcce5786e3503b2776d72d9397c94e77e7a1015996ef89f7e9"
GOLDEN_4_SHA256 = "347431aa4b81b229174ce24ce9ef5347536fbaf1f000a8faf16f95dd794eff59"
"""Of the same set without what version 5 brought, as version 4 wrote it."""
GOLDEN_3_SHA256 = "bb5fe2aac0253873cb6624dca48be42bfbe18963134795a2f8fc6fdcbe2159b8"
"""Without its link rules too, as version 3 wrote it."""


def test_golden() -> None:
    """A change of these bytes is a new version: vehicles on the road read the old ones."""
    data = encode_set(SET)
    assert hashlib.sha256(data).hexdigest() == GOLDEN_SHA256
    assert decode_set(data) == SET


@pytest.mark.parametrize("keep_ns", [3 * SECOND_NS, 4_500_000_000, 90 * SECOND_NS])
def test_how_much_is_kept_is_sent_and_left_out_where_it_is_all(keep_ns: int) -> None:
    kept = replace(CAMPAIGN, selection=SelectionRule(keep_ns=keep_ns))
    data = encode_set(CampaignSet("cn", 7, (kept,)))
    assert decode_set(data).campaigns == (kept,)
    assert b"keep_ns" in data
    assert b"keep_ns" not in encode_set(SET), "a vehicle that can't cut still takes the set"


def as_version_4(raw: dict[str, Any]) -> None:
    raw["v"] = 4
    del raw["sketch"]
    for one in raw["campaigns"]:
        del one["selection"], one["novelty"], one["weights"]


def as_version_3(raw: dict[str, Any]) -> None:
    as_version_4(raw)
    raw["v"] = 3
    for one in raw["campaigns"]:
        del one["uplink"]


OF_BEFORE: dict[str, Any] = {
    "selection": SELECTS_AS_USUAL,
    "novelty": NoveltyMode.OFF,
    "weights": DEFAULT_WEIGHTS,
}


def test_a_set_of_version_4_is_still_read_and_wants_each_clip() -> None:
    data = edited(as_version_4)
    assert hashlib.sha256(data).hexdigest() == GOLDEN_4_SHA256
    says_nothing = tuple(replace(one, **OF_BEFORE) for one in SET.campaigns)
    assert decode_set(data) == replace(SET, campaigns=says_nothing, sketch=None)


def test_a_set_of_before_the_link_rules_is_still_read() -> None:
    data = edited(as_version_3)
    assert hashlib.sha256(data).hexdigest() == GOLDEN_3_SHA256
    says_nothing = tuple(replace(one, uplink=LinkRule(), **OF_BEFORE) for one in SET.campaigns)
    assert decode_set(data) == replace(SET, campaigns=says_nothing, sketch=None)


def test_literals_keep_their_types() -> None:
    nodes = (
        SPEED,
        Node(Op.LITERAL, (), 1),
        Node(Op.GT, (0, 1)),
        Node(Op.LITERAL, (), value=True),
        Node(Op.AND, (2, 3)),
    )
    found = decode_set(
        encode_set(replace(SET, campaigns=(replace(CAMPAIGN, program=Program(PROGRAM_VERSION, nodes)),)))
    )
    values = [node.value for node in found.campaigns[0].program.nodes]
    assert [type(value) for value in values] == [str, int, type(None), bool, type(None)]


def edited(change: Callable[[dict[str, Any]], object]) -> bytes:
    raw = msgspec.msgpack.decode(encode_set(SET))
    change(raw)
    return msgspec.msgpack.encode(raw)


def campaign(raw: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = raw["campaigns"][0]
    return found


def full(raw: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = raw["campaigns"][1]
    return found


def nodes(raw: dict[str, Any], *found: list[Any]) -> None:
    campaign(raw)["program"]["nodes"] = list(found)


def selecting(**changes: object) -> Callable[[dict[str, Any]], object]:
    return lambda raw: raw["campaigns"][0]["selection"].update(changes)


REFUSED: list[tuple[Callable[[dict[str, Any]], object], str, str, str]] = [
    (lambda raw: raw.update(v=1), "set", "v", "version 1; this software reads 3 to 5"),
    (lambda raw: campaign(raw).update(purpose="hobby"), "braking", "purpose", "Invalid enum value 'hobby'"),
    (lambda raw: campaign(raw).pop("purpose"), "braking", "format", "purpose"),
    (lambda raw: raw.update(extra=1), "set", "format", "unknown field"),
    (lambda raw: raw.update(region_id="C N"), "set", "region_id", "regex"),
    (lambda raw: raw["campaigns"].append(campaign(raw)), "braking", "id", "twice"),
    (lambda raw: campaign(raw).update(id="../x"), "../x", "id", "regex"),
    (lambda raw: campaign(raw).update(region_id="eu"), "braking", "region_id", "'eu' in a set for 'cn'"),
    (lambda raw: campaign(raw).update(region_id=["cn", "eu"]), "braking", "region_id", "Expected `str`"),
    (lambda raw: campaign(raw).update(hold_ns=-1), "braking", "hold_ns", ">= 0"),
    (lambda raw: campaign(raw).update(hold_ns=1.5), "braking", "hold_ns", "Expected `int`"),
    (lambda raw: campaign(raw).update(sample_ratio=0), "braking", "sample_ratio", "> 0"),
    (lambda raw: campaign(raw).update(hold=1), "braking", "format", "unknown field"),
    (lambda raw: campaign(raw).pop("budget"), "braking", "format", "missing required field"),
    (lambda raw: campaign(raw)["capture"].update(before_ns=31 * 10**9), "braking", "capture.before_ns", "<="),
    (lambda raw: campaign(raw)["capture"].update(after_ns=61 * 10**9), "braking", "capture.after_ns", "<="),
    (lambda raw: campaign(raw)["capture"].update(before_ns=0, after_ns=0), "braking", "capture", "empty"),
    (lambda raw: campaign(raw).update(valid_until_wall_ns=0), "braking", "valid_until_wall_ns", "not after"),
    (lambda raw: campaign(raw)["program"].update(v=9), "braking", "program", "version 9"),
    (lambda raw: nodes(raw, ["sig", [], "A", 0]), "braking", "program", "the result is double"),
    (lambda raw: nodes(raw, ["sigb", [], "A", 0], ["not", [1], None, 0]), "braking", "program", "not an earlier node"),
    (lambda raw: nodes(raw, ["sigb", [], "A", 0], ["not", [-1], None, 0]), "braking", "program", "not an earlier node"),
    (lambda raw: nodes(raw, ["sigb", [], "A", 0], ["neg", [0], None, 0]), "braking", "program", "does not take (bool)"),
    (lambda raw: nodes(raw, ["system", [], "rm", 0]), "braking", "program.nodes[0][0]", "Invalid enum"),
    (lambda raw: nodes(raw, *[["sigb", [], "A", 0]] * (MAX_NODES + 1)), "braking", "program.nodes", "length <="),
    (lambda raw: nodes(raw, ["sigb", [], "A", 0], *(["not", [at], None, 0] for at in range(MAX_DEPTH))), "braking",
     "program", f"nested {MAX_DEPTH + 1} deep"),
    # Short on the wire, and 2**12 times its signal written out.
    (lambda raw: nodes(raw, ["sigb", [], "A", 0], *(["eq", [at, at], None, 0] for at in range(12))), "braking", "program",
     f"{2**13 - 1:,} operations with what is shared written out"),
    (lambda raw: nodes(raw, ["field", [], "score", 0], ["lit", [], 0.5, 0], ["gt", [0, 1], None, 0]), "braking", "program",
     "of a single detection"),
    (lambda raw: nodes(raw, ["lit", [], float("nan"), 0], ["lit", [], 1.0, 0], ["gt", [0, 1], None, 0]), "braking", "program",
     "not a finite number"),
    (lambda raw: nodes(raw, ["lit", [], 2**53, 0], ["lit", [], 1, 0], ["gt", [0, 1], None, 0]), "braking", "program", "2**53"),
    (lambda raw: nodes(raw, ["sigb", [], "A"]), "braking", "program.nodes[0]", "length"),
    (lambda raw: nodes(raw, ["sigb", [], "A", 0], ["once", [0], None, 0]), "braking", "program", "a window of 0 ns"),
    (lambda raw: nodes(raw, ["sigb", [], "A", 0], ["once", [0], None, MAX_WINDOW_NS + 1]), "braking",
     "program.nodes[1][3]", f"<= {MAX_WINDOW_NS}"),
    (lambda raw: nodes(raw, ["sigb", [], "A", 0], ["rose", [0], None, 5]), "braking", "program.nodes[1][0]", "enum"),
    (lambda raw: nodes(raw, ["sigb", [], "A", 0], ["rise", [0], None, 5]), "braking", "program", "takes no window"),
    (lambda raw: nodes(raw, ["field", [], "score", 0], ["prev", [0], None, 0]), "braking", "program",
     "looks back at a single detection"),
    (lambda raw: nodes(raw, ["sigb", [], "A", 0], *(["once", [at], None, 1] for at in range(5))), "braking", "program",
     "nested more than 4 deep"),
    (lambda raw: nodes(raw, ["sigb", [], "A", 0], *(["once", [0], None, at + 1] for at in range(17)),
                       ["and", [1, 2], None, 0]), "braking", "program", "more than 16 functions that look back"),
    (lambda raw: nodes(raw, ["mode", [], "sport", 0]), "braking", "program", "no such drive mode: 'sport'"),
    (lambda raw: nodes(raw, ["zone", [], "depot", 0]), "braking", "program",
     "names 'depot', which is not among the campaign's zones"),
    (lambda raw: full(raw).update(heads=[]), "everything", "program",
     "names 'crossing', which is not among the campaign's heads"),
    (lambda raw: full(raw)["zones"].append(full(raw)["zones"][0]), "everything", "zones", "twice"),
    (lambda raw: full(raw)["heads"].append(full(raw)["heads"][0]), "everything", "heads", "twice"),
    (lambda raw: full(raw)["zones"][0].update(name="De pot"), "everything", "zones[0].name", "regex"),
    (lambda raw: full(raw)["zones"][0]["corners"].pop(), "everything", "zones[0].corners", "length >= 3"),
    (lambda raw: full(raw)["zones"][0].update(corners=[[0, 0]] * (LIMITS.corners + 1)), "everything",
     "zones[0].corners", "length <="),
    (lambda raw: full(raw)["zones"][0]["corners"].append([90.5, 0]), "everything", "zones[0].corners[3][0]", "<= 90"),
    (lambda raw: full(raw)["zones"][0]["corners"].append([0, float("nan")]), "everything",
     "zones[0].corners[3][1]", ">= -180"),
    (lambda raw: full(raw).update(zones=full(raw)["zones"] * 17), "everything", "zones", "length <= 16"),
    (lambda raw: full(raw).update(rearm_ns=-1), "everything", "rearm_ns", ">= 0"),
    (lambda raw: full(raw).update(rearm_ns=LIMITS.rearm_ns + 1), "everything", "rearm_ns", "<="),
    (lambda raw: full(raw)["schedule"].update(spans=[]), "everything", "schedule", "at least one span"),
    (lambda raw: full(raw)["schedule"]["spans"].reverse(), "everything", "schedule", "span 1"),
    (lambda raw: full(raw)["schedule"]["spans"].append([0, 1, 2]), "everything", "schedule.spans[2]", "length"),
    (lambda raw: full(raw)["schedule"]["spans"][1].__setitem__(1, WEEK_NS + 1), "everything", "schedule", "span 1"),
    (lambda raw: full(raw)["schedule"]["offsets"].reverse(), "everything", "schedule", "offset 1"),
    (lambda raw: full(raw)["schedule"]["offsets"][0].__setitem__(1, 90_000), "everything", "schedule", "offset 0"),
    (lambda raw: full(raw)["schedule"]["offsets"].pop(0), "everything", "schedule", "after the campaign's validity"),
    (lambda raw: full(raw)["heads"][0]["layers"][0].update(weights=b"\0" * 11), "everything", "heads.crossing",
     "layer 0: 11 bytes of weights and 2 biases for 2 x 3"),
    (lambda raw: full(raw)["heads"][0]["layers"][0].update(weights="ab"), "everything", "heads[0].layers[0].weights",
     "Expected `bytes`"),
    (lambda raw: full(raw)["heads"][0].update(scale=float("inf")), "everything", "heads.crossing", "scale inf"),
    (lambda raw: full(raw)["zones"][0].update(corners=[[0, -100], [0, 100], [1, 0]]), "everything", "zones.depot",
     "180 degrees of longitude"),
    (lambda raw: full(raw)["zones"][0].update(corners=[[0, 1], [2, 1], [0, 1]]), "everything", "zones.depot",
     "2 different corners"),
    (lambda raw: full(raw)["heads"][0]["layers"].pop(), "everything", "heads.crossing", "one output"),
    (lambda raw: full(raw)["heads"][0].update(layers=[]), "everything", "heads.crossing", "0 layers"),
    (lambda raw: (as_version_4(raw), raw.update(v=3)), "braking", "uplink", "version 3 has no such field"),
    (lambda raw: raw.update(v=4), "set", "sketch", "version 4 has no such field"),
    (lambda raw: (raw.update(v=4), raw.pop("sketch")), "braking", "selection", "version 4 has no such field"),
    (lambda raw: raw.update(v=6), "set", "v", "version 6; this software reads 3 to 5"),
    (lambda raw: raw.update(v=4.0), "set", "v", "version 4.0; this software reads 3 to 5"),
    (lambda raw: full(raw).pop("weights"), "everything", "format", "missing required field `weights`"),
    (lambda raw: full(raw)["weights"].update(motion=-1), "everything", "weights", "motion: -1.0: a weight is"),
    (lambda raw: full(raw)["weights"].update(motion=float("nan")), "everything", "weights", "motion: nan"),
    (lambda raw: full(raw).update(weights=dict.fromkeys(full(raw)["weights"], 0)), "everything", "weights",
     "every weight is 0"),
    (lambda raw: full(raw)["weights"].update(fame=1), "everything", "weights", "unknown field"),
    (selecting(reject=["rainy"]), "braking", "selection.reject[0]", "Invalid enum value 'rainy'"),
    (selecting(reject=["blurred", "frozen"]), "braking", "selection", "in their order, each once"),
    (selecting(reject=["frozen", "frozen"]), "braking", "selection", "in their order, each once"),
    (selecting(cameras="most"), "braking", "selection.cameras", "Invalid enum value 'most'"),
    (selecting(confirm=1), "braking", "selection.confirm", "Expected `bool`"),
    (selecting(keep_ns=3 * SECOND_NS - 1), "braking", "selection.keep_ns", "Expected `int` >= 3000000000"),
    (selecting(keep_ns=90 * SECOND_NS + 1), "braking", "selection.keep_ns", "Expected `int` <= 90000000000"),
    (selecting(keep_ns=3.0), "braking", "selection.keep_ns", "Expected `int | null`"),
    (selecting(novel=True), "braking", "selection", "unknown field `novel`"),
    (lambda raw: raw.pop("sketch"), "set", "format", "missing required field `sketch`"),
    (lambda raw: raw["sketch"].update(v=2), "set", "sketch", "version 2; this software reads 1"),
    (lambda raw: raw["sketch"].update(region_id="eu"), "set", "sketch", "of region 'eu' in a set for 'cn'"),
    (lambda raw: raw["sketch"]["subjects"].append(raw["sketch"]["subjects"][0]), "set", "sketch", "there twice"),
    (lambda raw: raw.update(sketch=b"\0"), "set", "sketch", "version None"),
    (lambda raw: campaign(raw).update(novelty="some"), "braking", "novelty", "Invalid enum value"),
    (lambda raw: campaign(raw).pop("novelty"), "braking", "format", "missing required field `novelty`"),
    (lambda raw: full(raw).pop("uplink"), "everything", "format", "missing required field `uplink`"),
    (lambda raw: full(raw)["uplink"].update(links="cellular"), "everything", "uplink.links", "Invalid enum value"),
    (lambda raw: full(raw)["uplink"].update(deadline_ns=600 * 10**9 - 1), "everything", "uplink.deadline_ns", ">="),
    (lambda raw: full(raw)["uplink"].update(deadline_ns=367 * 86_400 * 10**9), "everything", "uplink.deadline_ns", "<="),
    (lambda raw: full(raw)["uplink"].update(cost=1), "everything", "uplink", "unknown field"),
    (lambda raw: full(raw)["heads"][0].update(camera=""), "everything", "heads[0].camera", "length >= 1"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "name", "field", "reason"), REFUSED)
def test_refused(change: Callable[[dict[str, Any]], object], name: str, field: str, reason: str) -> None:
    with pytest.raises(CampaignFormatError) as caught:
        decode_set(edited(change))
    assert (caught.value.campaign, caught.value.field) == (name, field)
    assert reason in caught.value.reason


def test_what_is_not_msgpack_is_refused() -> None:
    for data in (b"", b"\xc1", encode_set(SET)[:-1], encode_set(SET) + b"\0", b"\x93\1\2\3"):
        with pytest.raises(CampaignFormatError):
            decode_set(data)


def test_encoding_refuses_what_decoding_would() -> None:
    with pytest.raises(CampaignFormatError, match="everything: zones: a name is there twice"):
        encode_set(replace(SET, campaigns=(replace(FULL, zones=(DEPOT, DEPOT)),)))
    with pytest.raises(CampaignFormatError, match="hold_ns"):
        encode_set(replace(SET, campaigns=(replace(CAMPAIGN, hold_ns=-1),)))


@settings(max_examples=300)
@given(st.data())
def test_damaged_bytes_are_a_set_or_are_refused(data: st.DataObject) -> None:
    whole = bytearray(encode_set(SET))
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    try:
        found = decode_set(bytes(whole))
    except CampaignFormatError:
        return
    assert decode_set(encode_set(found)) == found


@given(
    st.lists(
        st.builds(
            Node,
            st.sampled_from(Op),
            st.lists(st.integers(-1, 6), max_size=3).map(tuple),
            st.one_of(
                st.none(),
                st.booleans(),
                st.integers(),
                st.floats(),
                st.sampled_from(["a", "kind", "distance_m", "front", "depot", "assisted"]),
            ),
            st.sampled_from([0, 0, 1, 10**9, MAX_WINDOW_NS, MAX_WINDOW_NS + 1, -1]),
        ),
        max_size=6,
    ).map(tuple)
)
def test_any_nodes_are_a_program_or_are_refused(found: tuple[Node, ...]) -> None:
    try:
        program = Program(PROGRAM_VERSION, found)
    except ProgramError:
        return
    own_zones = tuple(replace(DEPOT, name=name) for name in program_names(program, Op.ZONE))
    own_heads = tuple(replace(HEAD, name=name) for name in program_names(program, Op.HEAD))
    ours = replace(SET, campaigns=(replace(CAMPAIGN, program=program, zones=own_zones, heads=own_heads),))
    assert decode_set(encode_set(ours)) == ours


names = st.from_regex(r"[a-z0-9][a-z0-9_-]{0,8}", fullmatch=True)
zones = st.builds(
    Zone,
    names,
    st.lists(st.tuples(st.floats(-90, 90), st.floats(0, 180)), min_size=3, max_size=9, unique=True).map(
        tuple
    ),
)


@st.composite
def schedules(draw: st.DrawFn) -> Schedule:
    ends = sorted(draw(st.sets(st.integers(0, WEEK_NS), min_size=2, max_size=9)))
    spans = tuple(WeekSpan(a, b) for a, b in zip(ends[::2], ends[1::2], strict=False))
    moments = {0} | draw(st.sets(st.integers(0, 2**62), max_size=4))
    offsets = (LocalOffset(at, draw(st.integers(-86_400, 86_400))) for at in sorted(moments))
    return Schedule(spans, tuple(offsets))


@st.composite
def heads(draw: st.DrawFn) -> Head:
    widths = [*draw(st.lists(st.integers(1, 5), min_size=1, max_size=3)), 1]
    layers = []
    for inputs, outputs in itertools.pairwise(widths):
        count = inputs * outputs * 2
        weights = draw(st.binary(min_size=count, max_size=count))
        biases = draw(st.lists(st.integers(-(2**45), 2**45), min_size=outputs, max_size=outputs))
        shift = 0 if len(layers) == len(widths) - 2 else draw(st.integers(0, 40))
        layers.append(HeadLayer(outputs, inputs, weights, tuple(biases), shift))
    bits, scale = draw(st.integers(0, 15)), draw(st.floats(1e-9, 1e9))
    return Head(draw(names), "firmware:drivenet", "front", bits, tuple(layers), scale)


@given(
    st.one_of(st.none(), schedules()),
    st.lists(zones, max_size=3, unique_by=lambda zone: zone.name),
    st.lists(heads(), max_size=3, unique_by=lambda head: head.name),
    st.integers(0, LIMITS.rearm_ns),
)
def test_parts_arrive_as_they_were(
    schedule: Schedule | None, some_zones: list[Zone], some_heads: list[Head], rearm_ns: int
) -> None:
    one = replace(
        CAMPAIGN, schedule=schedule, zones=tuple(some_zones), heads=tuple(some_heads), rearm_ns=rearm_ns
    )
    data = encode_set(replace(SET, campaigns=(one,)))
    assert decode_set(data).campaigns == (one,)
    assert encode_set(decode_set(data)) == data
