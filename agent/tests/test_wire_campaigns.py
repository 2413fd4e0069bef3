"""The campaign set's bytes: golden, round trip, and everything that is refused."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fsd_agent.records.campaign import Budget, Campaign, CampaignSet, CaptureSpec
from fsd_agent.records.program import MAX_DEPTH, MAX_NODES, Node, Op, Program, ProgramError
from fsd_agent.wire.campaigns import CampaignFormatError, decode_set, encode_set

SPEED = Node(Op.SIGNAL_DOUBLE, (), "Vehicle.Speed")
PROGRAM = Program(
    1,
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
    purpose="Why.",
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
SET = CampaignSet("cn", 7, (CAMPAIGN,))
GOLDEN_SHA256 = "051977db43a850cf27e74caabd21464ab4b61593180e9f9505af3ce913d5cdbd"


def test_golden() -> None:
    """A change of these bytes is a new version: vehicles on the road read the old ones."""
    data = encode_set(SET)
    assert hashlib.sha256(data).hexdigest() == GOLDEN_SHA256
    assert decode_set(data) == SET


def test_literals_keep_their_types() -> None:
    nodes = (
        SPEED,
        Node(Op.LITERAL, (), 1),
        Node(Op.GT, (0, 1)),
        Node(Op.LITERAL, (), value=True),
        Node(Op.AND, (2, 3)),
    )
    found = decode_set(encode_set(replace(SET, campaigns=(replace(CAMPAIGN, program=Program(1, nodes)),))))
    values = [node.value for node in found.campaigns[0].program.nodes]
    assert [type(value) for value in values] == [str, int, type(None), bool, type(None)]


def edited(change: Callable[[dict[str, Any]], object]) -> bytes:
    raw = msgspec.msgpack.decode(encode_set(SET))
    change(raw)
    return msgspec.msgpack.encode(raw)


def campaign(raw: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = raw["campaigns"][0]
    return found


def nodes(raw: dict[str, Any], *found: list[Any]) -> None:
    campaign(raw)["program"]["nodes"] = list(found)


REFUSED: list[tuple[Callable[[dict[str, Any]], object], str, str, str]] = [
    (lambda raw: raw.update(v=2), "set", "v", "version 2"),
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
    (lambda raw: nodes(raw, ["sig", [], "A"]), "braking", "program", "the result is double"),
    (lambda raw: nodes(raw, ["sigb", [], "A"], ["not", [1], None]), "braking", "program", "not an earlier node"),
    (lambda raw: nodes(raw, ["sigb", [], "A"], ["not", [-1], None]), "braking", "program", "not an earlier node"),
    (lambda raw: nodes(raw, ["sigb", [], "A"], ["neg", [0], None]), "braking", "program", "does not take (bool)"),
    (lambda raw: nodes(raw, ["system", [], "rm"]), "braking", "program.nodes[0][0]", "Invalid enum"),
    (lambda raw: nodes(raw, *[["sigb", [], "A"]] * (MAX_NODES + 1)), "braking", "program.nodes", "length <="),
    (lambda raw: nodes(raw, ["sigb", [], "A"], *(["not", [at], None] for at in range(MAX_DEPTH))), "braking",
     "program", f"nested {MAX_DEPTH + 1} deep"),
    (lambda raw: nodes(raw, ["field", [], "score"], ["lit", [], 0.5], ["gt", [0, 1], None]), "braking", "program",
     "of a single detection"),
    (lambda raw: nodes(raw, ["lit", [], float("nan")], ["lit", [], 1.0], ["gt", [0, 1], None]), "braking", "program",
     "not a finite number"),
    (lambda raw: nodes(raw, ["lit", [], 2**53], ["lit", [], 1], ["gt", [0, 1], None]), "braking", "program", "2**53"),
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
                st.sampled_from(["A", "kind", "distance_m"]),
            ),
        ),
        max_size=6,
    ).map(tuple)
)
def test_any_nodes_are_a_program_or_are_refused(found: tuple[Node, ...]) -> None:
    try:
        program = Program(1, found)
    except ProgramError:
        return
    assert decode_set(encode_set(replace(SET, campaigns=(replace(CAMPAIGN, program=program),))))
