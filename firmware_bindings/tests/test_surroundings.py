"""Link and power as a bench's firmware writes them: read anew each time, and careful wherever something is not said."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsd_firmware.drive.replay import DriveReplay
from fsd_firmware.surroundings import POWERED, UNKNOWN_LINK, LinkKind, LinkState, PowerState, unknown
from fsd_firmware.surroundings_file import (
    LinkFile,
    PowerFile,
    SurroundingsError,
    SurroundingsFile,
    boot_ns,
    decode_surroundings,
    encode_surroundings,
    given_back_path,
    read_surroundings,
)

S = 1_000_000_000


def said(**members: Any) -> bytes:
    return json.dumps({"v": 1} | members).encode()


@pytest.mark.parametrize(
    ("link", "expected"),
    [
        ({}, UNKNOWN_LINK),
        ({"kind": "wifi"}, LinkState(LinkKind.WIFI, metered=True, roaming=False)),
        ({"kind": "wifi", "metered": False}, LinkState(LinkKind.WIFI, metered=False, roaming=False)),
        ({"kind": "cellular"}, LinkState(LinkKind.CELLULAR, metered=True, roaming=True)),
        (
            {"kind": "cellular", "metered": False, "roaming": False},
            LinkState(LinkKind.CELLULAR, metered=False, roaming=False),
        ),
        ({"kind": "unknown", "metered": False}, LinkState(LinkKind.UNKNOWN, metered=False, roaming=True)),
        ({"kind": "ethernet"}, LinkState(LinkKind.ETHERNET, metered=True, roaming=False)),
        ({"kind": "none"}, LinkState(LinkKind.NONE, metered=True, roaming=False)),
    ],
)
def test_what_is_not_said_of_a_link_is_taken_carefully(link: dict[str, Any], expected: LinkState) -> None:
    found = decode_surroundings(said(link=link), 0)
    assert (found.link, found.power, found.fault) == (expected, POWERED, "")


@pytest.mark.parametrize(
    ("now_s", "left_s"), [(100.0, 30.5), (100.5, 30.0), (130.0, 0.5), (130.5, 0.0), (9000.0, 0.0)]
)
def test_a_drain_window_runs_out_by_the_boot_clock(now_s: float, left_s: float) -> None:
    power = {"ignition": "off", "since_boot_s": 100.0, "drain_s": 30.5}
    found = decode_surroundings(said(power=power), round(now_s * S))
    assert found.power == PowerState(ignition_on=False, drain_left_ns=round(left_s * S))


def test_ignition_on_has_no_window() -> None:
    power = {"ignition": "on", "since_boot_s": 100.0, "drain_s": 30.0}
    assert decode_surroundings(said(power=power), 0).power == POWERED


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "Input data was truncated"),
        (b"\xff", "malformed"),
        (b'{"v": 2}', r"\$\.v"),
        (b'{"v": 1, "lnk": {}}', "lnk"),
        (said(link={"kind": "bluetooth"}), r"\$\.link\.kind"),
        (said(link={"metered": "no"}), r"\$\.link\.metered"),
        (said(power={}), "ignition"),
        (said(power={"ignition": "off", "drain_s": -1}), r"\$\.power\.drain_s"),
        (said(power={"ignition": "off", "since_boot_s": 2.0}), "earlier start"),
        (b" " * 4097, "more than 4096 bytes"),
    ],
)
def test_what_is_no_such_document_is_named(data: bytes, why: str, tmp_path: Path) -> None:
    with pytest.raises(SurroundingsError, match=why):
        decode_surroundings(data, S)


def test_a_file_that_cannot_be_used_gives_the_careful_answer_and_why(tmp_path: Path) -> None:
    path = tmp_path / "link.json"
    assert read_surroundings(path) == unknown(f"{path}: No such file or directory")
    path.write_bytes(b'{"v": 1, "link": {"kind": "wi')
    found = read_surroundings(path)
    assert (found.link, found.power) == (UNKNOWN_LINK, POWERED)
    assert found.fault == f"{path}: Input data was truncated"


@given(
    st.sampled_from(LinkKind),
    st.booleans(),
    st.none() | st.booleans(),
    st.none() | st.tuples(st.floats(0, 1e6), st.floats(0, 1e5)),
)
def test_what_is_written_is_what_is_read(
    kind: LinkKind, metered: bool, roaming: bool | None, window: tuple[float, float] | None
) -> None:
    power = PowerFile("on") if window is None else PowerFile("off", *window)
    data = encode_surroundings(SurroundingsFile(1, LinkFile(kind, metered, roaming), power))
    found = decode_surroundings(data, round(1e6 * S))
    careful = kind in {LinkKind.CELLULAR, LinkKind.UNKNOWN}
    assert found.link == LinkState(kind, metered, careful if roaming is None else roaming)
    assert found.power.ignition_on == (window is None)
    assert found.power.drain_left_ns <= (0 if window is None else round(window[1] * S))


def test_a_replay_looks_anew_at_each_call_and_gives_a_window_back(drive: Any, tmp_path: Path) -> None:
    path = tmp_path / "link.json"
    source = DriveReplay(drive[0], speed="max", link=path)
    assert source.surroundings().fault
    path.write_bytes(encode_surroundings(SurroundingsFile(1, LinkFile(LinkKind.WIFI, metered=False))))
    assert source.surroundings().link == LinkState(LinkKind.WIFI, metered=False, roaming=False)
    source.give_back()
    assert not given_back_path(path).exists(), "nothing was lent"
    off = PowerFile("off", boot_ns() / S, 60.0)
    path.write_bytes(encode_surroundings(SurroundingsFile(1, power=off)))
    assert 0 < source.surroundings().power.drain_left_ns <= 60 * S
    source.give_back()
    assert json.loads(given_back_path(path).read_bytes()) == {"v": 1, "since_boot_s": off.since_boot_s}
    source.close()
    plain = DriveReplay(drive[0], speed="max")
    assert plain.surroundings() == unknown()
    plain.give_back()
    plain.close()
