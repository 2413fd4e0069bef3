"""The status message goes round, and bad bytes are refused with a reason."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fsd_agent.records.status import CampaignStatus, ProcessUse, Status
from fsd_agent.wire.status import MAX_BYTES, StatusFormatError, decode_status, encode_status

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
            in_progress=_count,
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
    clips=_counts,
    lost=_counts,
    use=st.builds(
        ProcessUse,
        cpu_s=st.floats(0, 1e9, allow_nan=False),
        resident_bytes=_count,
        threads=st.integers(0, 999),
    ),
    trouble=_text,
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
        (b"\x92\x01\x81\xa7vehicle\xa1\xff", "status: 'utf-8'"),
        (msgspec.msgpack.encode([1, {"vehicle": 3}]), "vehicle"),
        (b"\x00" * (MAX_BYTES + 1), "more than"),
    ],
)
def test_bad_bytes_are_refused_with_the_reason(data: bytes, says: str) -> None:
    with pytest.raises(StatusFormatError, match=says):
        decode_status(data)


def test_another_version_is_refused() -> None:
    good = msgspec.msgpack.decode(
        encode_status(Status("v", "cn", 1, 1, 1, "0", 0, (), {}, "", "", {}, {}, ProcessUse(0.0, 0, 1), "")),
        type=list[object],
    )
    good[0] = 2
    with pytest.raises(StatusFormatError, match="version 2"):
        decode_status(msgspec.msgpack.encode(good))
