"""A region's policy is taken whole and exactly, or refused with the file and the field."""

from __future__ import annotations

import base64
import dataclasses

import pytest

from fsd_agent.records.region import FaceRule, LocationRule, PlateRule, RedactionRules
from fsd_agent.testing.regions import sample_region
from fsd_agent.wire.policy import PolicyError, decode_policy, encode_policy

POLICY = sample_region("cn", ("CN", "HK")).policy
TEXT = encode_policy(POLICY).decode()


def refused(text: str, match: str) -> None:
    with pytest.raises(PolicyError, match=match) as caught:
        decode_policy(text.encode(), "cn.toml")
    assert str(caught.value).startswith("cn.toml: ")


def changed(old: str, new: str) -> str:
    assert TEXT.count(old) == 1
    return TEXT.replace(old, new)


def test_round_trip() -> None:
    assert decode_policy(TEXT.encode(), "cn.toml") == POLICY


def test_every_rule_makes_the_round_trip() -> None:
    for faces in FaceRule:
        for plates in PlateRule:
            for location in LocationRule:
                rules = RedactionRules(faces, plates, 0, 60_000_000_000, location, 0.001)
                policy = dataclasses.replace(POLICY, redaction=rules)
                assert decode_policy(encode_policy(policy), "cn.toml") == policy


@pytest.mark.parametrize(
    ("old", "new", "field"),
    [
        ("format = 1", "format = 2", r"\$.format"),
        ("version = 1", "version = 0", r"\$.version"),
        ("version = 1", "version = '1'", r"\$.version"),
        ('region = "cn"', 'region = "CN"', r"\$.region"),
        ('region = "cn"', 'region = "us"', r"\$.identity_uri"),
        ('["CN", "HK"]', "[]", r"\$.jurisdictions"),
        ('["CN", "HK"]', '["CN", "China"]', r"\$.jurisdictions\[1\]"),
        ('["CN", "HK"]', '["CN", "CN"]', r"\$.jurisdictions"),
        ("urn:fsd:region:cn", "urn:fsd:region:eu", r"\$.identity_uri"),
        ("urn:fsd:region:cn", "https://cn", r"\$.identity_uri"),
        ("port = 8883", "port = 0", r"\$.endpoint.port"),
        ("port = 8883", "port = 8883\nproxy = 'x'", "proxy"),
        ('host = "127.0.0.1"', 'host = "a b"', r"\$.endpoint.host"),
        ("broker.cn.fsd.invalid", "*.cn.fsd.invalid", r"\$.endpoint.server_name"),
        ("broker.cn.fsd.invalid", "127.0.0.1", r"\$.endpoint.server_name"),
        ("broker.cn.fsd.invalid", "localhost", r"\$.endpoint.server_name"),
        ('faces = "head_zone"', 'faces = "blur"', r"\$.redaction.faces"),
        ('faces = "head_zone"\n', "", "faces"),
        ("hold_ms = 300", "hold_ms = -1", r"\$.redaction.hold_ms"),
        ("location_grid_deg = 0.05", "location_grid_deg = 0", r"\$.redaction.location_grid_deg"),
        ("location_grid_deg = 0.05", "location_grid_deg = nan", r"\$.redaction.location_grid_deg"),
        ("BEGIN CERTIFICATE", "BEGIN NOTHING", r"\$.authority"),
        ("[redaction]", "[redaction", "not TOML"),
    ],
)
def test_a_wrong_field_is_named(old: str, new: str, field: str) -> None:
    refused(changed(old, new), field)


def test_unknown_and_missing_tables_are_named() -> None:
    refused(TEXT + "\n[export]\nallowed = true\n", "export")
    refused(TEXT[: TEXT.index("[redaction]")], "redaction")


def with_key(field: str, key: bytes) -> str:
    lines = [
        f'{field} = "{base64.b64encode(key).decode()}"' if line.startswith(f"{field} = ") else line
        for line in TEXT.splitlines()
    ]
    return "\n".join(lines)


@pytest.mark.parametrize("field", ["sealing", "receipt", "campaigns"])
def test_keys_are_32_bytes_of_base64(field: str) -> None:
    refused(with_key(field, bytes(31)), rf"31 bytes.*\$.keys.{field}")
    refused(with_key(field, bytes(32)).replace("AAAA", "A!A!", 1), rf"not base64.*\$.keys.{field}")


def test_a_sealing_key_that_is_not_the_one_its_id_names_is_refused() -> None:
    refused(with_key("sealing", bytes(range(32))), r"\$.keys.sealing_id")


@pytest.mark.parametrize("point", [bytes(32), b"\1" + bytes(31), bytes.fromhex("ec" + "ff" * 30 + "7f")])
def test_a_sealing_key_that_opens_for_everyone_is_refused(point: bytes) -> None:
    from fsd_agent.wire.envelope import key_id_of

    text = with_key("sealing", point).replace(POLICY.sealing_key_id, key_id_of(point))
    refused(text, "small order")


def test_one_authority_and_no_more() -> None:
    pem = POLICY.authority_pem.decode()
    refused(TEXT.replace(pem.strip(), pem + pem), "2 certificates")
    refused(TEXT.replace(pem.strip(), ""), r"\$.authority")


def test_size_and_text_are_bounded() -> None:
    refused("#" * 70_000, "at most")
    with pytest.raises(PolicyError, match="not TOML"):
        decode_policy(b"\xff", "cn.toml")


def test_a_policy_that_would_be_refused_is_not_written() -> None:
    for changes in (
        {"version": 0},
        {"identity_uri": "urn:fsd:region:eu"},
        {"sealing_key_id": "0" * 16},
        {"redaction": dataclasses.replace(POLICY.redaction, hold_ns=1)},
        {"redaction": dataclasses.replace(POLICY.redaction, location_grid_deg=float("nan"))},
        {"authority_pem": b"'''\nformat = 2"},
    ):
        with pytest.raises(PolicyError):
            encode_policy(dataclasses.replace(POLICY, **changes))
