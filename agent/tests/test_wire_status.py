"""The status message goes round, and bad bytes are refused with a reason."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fsd_agent.pipeline.faults import FAULTS_MAX, TEXT_MAX
from fsd_agent.records.reasons import DropReason
from fsd_agent.records.status import CampaignStatus, Fault, HoldSpan, ProcessUse, SpoolLevel, Status
from fsd_agent.wire.status import MAX_BYTES, StatusFormatError, decode_status, encode_status
from fsd_agent.wire.versions import WIRE_VERSIONS

_text = st.text(max_size=12)
_count = st.integers(min_value=0, max_value=2**53)
_counts = st.dictionaries(_text, _count, max_size=4)
_statuses = st.builds(
    Status,
    vehicle=_text,
    region=_text,
    registration_serial=_count,
    policy_version=_count,
    wall_ns=_count,
    agent_version=_text,
    campaign_set=_count,
    campaigns=st.lists(
        st.builds(
            CampaignStatus,
            id=_text,
            fired=_count,
            staged=_count,
            captured=_count,
            sealed=_count,
            delivered=_count,
            dropped=_counts,
            delivered_clips=_count,
            delivered_bytes=_count,
        ),
        max_size=3,
    ).map(tuple),
    suspended=st.dictionaries(_text, _text, max_size=3),
    refused_push=_text,
    refused_policy=_text,
    spool=st.dictionaries(_text, st.builds(SpoolLevel, _count, _count, _count), max_size=3),
    lost=_counts,
    use=st.builds(
        ProcessUse,
        cpu_s=st.floats(0, 1e9, allow_nan=False),
        resident_bytes=_count,
        threads=st.integers(0, 999),
    ),
    trouble=_text,
    every_s=st.floats(0, 1e6, allow_nan=False),
    sent_bytes=_count,
    faults=st.lists(st.builds(Fault, _count, _text, _text, _count), max_size=3).map(tuple),
    wire=_counts,
    models=st.lists(_text, max_size=3).map(tuple),
    campaigns_left_out=_count,
    unjudged=st.dictionaries(_text, st.dictionaries(_text, _count, max_size=3), max_size=3),
    kept=st.dictionaries(_text, st.dictionaries(_text, _count, max_size=3), max_size=3),
    until_parked=st.booleans(),
)
GOLDEN = Status(
    vehicle="car-1",
    region="cn",
    registration_serial=1,
    policy_version=2,
    wall_ns=1_800_000_000_000_000_000,
    agent_version="0.1.0",
    campaign_set=3,
    campaigns=(CampaignStatus("near_miss", 9, 1, 2, 3, 1, {"sampled_out": 2}, 1, 4096),),
    suspended={},
    refused_push="",
    refused_policy="",
    spool={"sealed": SpoolLevel(3, 9_000_000, 5)},
    lost={"frames": 1},
    use=ProcessUse(1.5, 80_000_000, 7),
    trouble="",
    ledger_head=b"head",
    certificate_until_wall_ns=6,
    every_s=5.0,
    sent_bytes=123_456,
    faults=(Fault(7, "disconnected", "connection lost", 12),),
    wire={"status": 2},
    models=("nanodet@1",),
    unjudged={"near_miss": {"confirmation": 1, "quality": 2}},
    kept={"near_miss": {"shortened": 3, "undecided": 1}},
    waits={"waits_for_wifi": 2},
    until_parked=True,
)
GOLDEN_HEX = (
    "9202de001ca776656869636c65a56361722d31a6726567696f6ea2636eb3726567697374726174696f6e5f7365726961"
    "6c01ae706f6c6963795f76657273696f6e02a777616c6c5f6e73cf18fae27693b40000ad6167656e745f76657273696f"
    "6ea5302e312e30ac63616d706169676e5f73657403a963616d706169676e739199a96e6561725f6d6973730901020301"
    "81ab73616d706c65645f6f75740201cd1000a973757370656e64656480ac726566757365645f70757368a0ae72656675"
    "7365645f706f6c696379a0a573706f6f6c81a67365616c656483a5636c69707303a56279746573ce00895440ae6f6c64"
    "6573745f77616c6c5f6e7305a46c6f737481a66672616d657301a375736583a56370755f73cb3ff8000000000000ae72"
    "65736964656e745f6279746573ce04c4b400a77468726561647307a774726f75626c65a0ab6c65646765725f68656164"
    "c40468656164a5686f6c647390b963657274696669636174655f756e74696c5f77616c6c5f6e7306a5776169747381ae"
    "77616974735f666f725f7769666902a765766572795f73cb4014000000000000aa73656e745f6279746573ce0001e240"
    "a66661756c74739184a777616c6c5f6e7307a57768657265ac646973636f6e6e6563746564a477686174af636f6e6e65"
    "6374696f6e206c6f7374a574696d65730ca47769726581a673746174757302a66d6f64656c7391a96e616e6f64657440"
    "31b263616d706169676e735f6c6566745f6f757400a8756e6a756467656481a96e6561725f6d69737382ac636f6e6669"
    "726d6174696f6e01a77175616c69747902a46b65707481a96e6561725f6d69737382a973686f7274656e656403a9756e"
    "6465636964656401ac756e74696c5f7061726b6564c3"
)


def status_of(campaigns: int, reasons: int) -> Status:
    """As much as a vehicle has to tell, with so many campaigns and drop reasons of each."""
    counted = tuple(
        CampaignStatus(
            f"campaign_with_a_name_{number:04d}",
            123_456 + number,
            2,
            3,
            400,
            100_000,
            {str(reason): 1_234 for reason in list(DropReason)[:reasons]},
            90_000,
            10**12,
        )
        for number in range(campaigns)
    )
    return replace(
        GOLDEN,
        campaigns=counted,
        spool={state: SpoolLevel(50_000, 10**12, 10**18) for state in ("staged", "captured", "sealed")},
        ledger_head=bytes(250),
        faults=tuple(Fault(10**18, "certificate_expired", "x" * TEXT_MAX, 1000) for _ in range(FAULTS_MAX)),
        wire=dict(WIRE_VERSIONS),
        holds=tuple(HoldSpan("registration_not_kept", 10**18, 10**18, 10**15) for _ in range(8)),
    )


@settings(max_examples=60)
@given(_statuses)
def test_what_is_written_is_read(status: Status) -> None:
    assert decode_status(encode_status(status)) == status


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "status:"),
        (b"\xc1", "status:"),
        (b"\x92\x02\x81\xa7vehicle\xa1\xff", "status: 'utf-8'"),
        (msgspec.msgpack.encode([2, {"vehicle": 3}]), "vehicle"),
        (b"\x00" * (MAX_BYTES + 1), "more than"),
    ],
)
def test_bad_bytes_are_refused_with_the_reason(data: bytes, says: str) -> None:
    with pytest.raises(StatusFormatError, match=says):
        decode_status(data)


@pytest.mark.parametrize("version", [1, 3])
def test_another_version_is_refused_whatever_it_holds(version: int) -> None:
    with pytest.raises(StatusFormatError, match=f"version {version}, this program reads 2"):
        decode_status(msgspec.msgpack.encode([version, "anything"]))


def test_golden_bytes() -> None:
    assert encode_status(GOLDEN).hex() == GOLDEN_HEX
    assert decode_status(bytes.fromhex(GOLDEN_HEX)) == GOLDEN


def test_a_field_that_this_program_does_not_know_is_passed_over() -> None:
    version, fields = msgspec.msgpack.decode(encode_status(GOLDEN))
    assert decode_status(msgspec.msgpack.encode([version, fields | {"newer": 1}])) == GOLDEN


@pytest.mark.parametrize(("campaigns", "most"), [(14, 5_500), (200, 28_000), (1000, 124_000)])
def test_a_message_is_small(campaigns: int, most: int) -> None:
    """With four drop reasons of each campaign, which is many, and all else that there can be."""
    status = status_of(campaigns, 4)
    data = encode_status(status)
    assert len(data) <= most
    assert decode_status(data) == status


def test_campaigns_that_fired_least_are_left_out_where_there_is_no_room_and_counted() -> None:
    status = replace(status_of(2000, 25), campaigns_left_out=5)
    data = encode_status(status)
    assert MAX_BYTES / 2 < len(data) <= MAX_BYTES
    told = decode_status(data)
    assert told.campaigns_left_out == 5 + 2000 - len(told.campaigns)
    assert told.campaigns == status.campaigns[-len(told.campaigns) :], "those that fired most, by id"
    assert replace(told, campaigns=(), campaigns_left_out=0) == replace(
        status, campaigns=(), campaigns_left_out=0
    )


def test_a_status_without_a_bound_is_no_message() -> None:
    with pytest.raises(StatusFormatError, match="without any campaign"):
        encode_status(replace(status_of(3, 1), trouble="x" * MAX_BYTES))
