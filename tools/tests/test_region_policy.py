"""Edit, check, sign: what an operator does to a policy, and what vehicles then believe."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fsd_agent.adapters.key_files import read_private
from fsd_agent.adapters.trust_files import read_public_keys
from fsd_agent.wire.policy import decode_policy, open_policy
from fsd_tools.main import main
from fsd_tools.region.layout import RegionDir
from fsd_tools.region.operator import load_policy


@pytest.fixture
def region(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> RegionDir:
    assert main(["region", "init", str(tmp_path / "cn"), "--id", "cn", "--jurisdiction", "CN"]) == 0
    capsys.readouterr()
    return RegionDir(tmp_path / "cn")


def policy(region: RegionDir, command: str, *argv: str) -> int:
    return main(["region", "policy", command, str(region.root), *argv])


def told(capsys: pytest.CaptureFixture[str]) -> dict[str, object]:
    found = json.loads(capsys.readouterr().out)
    assert isinstance(found, dict)
    return found


def edit(region: RegionDir, old: str, new: str) -> None:
    text = region.policy.read_text()
    assert old in text
    region.policy.write_text(text.replace(old, new))


def refused(code: int, capsys: pytest.CaptureFixture[str], match: str) -> None:
    assert code == 1
    assert match in capsys.readouterr().err


def test_a_new_region_has_signed_its_policy(region: RegionDir, capsys: pytest.CaptureFixture[str]) -> None:
    (root,) = read_public_keys(region.root_public)
    assert open_policy(region.signed_policy.read_bytes(), root, "x") == region.policy.read_bytes()
    assert policy(region, "check", "--json") == 0
    assert told(capsys) == {"region": "cn", "signed_version": 1, "is_signed": True}
    assert policy(region, "sign", "--json") == 0
    assert told(capsys)["changed"] is False
    assert load_policy(region).version == 1


def test_edit_check_sign(region: RegionDir, capsys: pytest.CaptureFixture[str]) -> None:
    edit(region, "retention_days = 365", "retention_days = 30  # as agreed")
    assert policy(region, "check") == 0
    assert "not what was signed as version 1" in capsys.readouterr().out
    assert load_policy(region).retention_days == 365, "nothing counts before it is signed"
    assert policy(region, "sign") == 0
    assert "version 2 signed" in capsys.readouterr().out
    signed = load_policy(region)
    assert (signed.version, signed.retention_days) == (2, 30)
    assert "# as agreed" in region.policy.read_text(), "the operator's own words stay"
    assert policy(region, "check", "--json") == 0
    assert told(capsys)["is_signed"] is True


def test_a_version_that_the_operator_chose_is_kept_if_it_grows(region: RegionDir) -> None:
    edit(region, "version = 1", "version = 40")
    assert policy(region, "sign") == 0
    assert load_policy(region).version == 40
    edit(region, "version = 40", "version = 3")
    assert policy(region, "sign") == 0
    assert load_policy(region).version == 41


@pytest.mark.parametrize(
    ("old", "new", "match"),
    [
        ("retention_days = 365", "retention_days = -1", "$.retention_days"),
        ('country = "CN"', 'country = "SG"', "endpoints[0].country: SG is not allowed for CN"),
        ('["CN"]', '["CN", "HK"]', "CN can't be served together with HK"),
        ('region = "cn"', 'region = "hk"', "$.identity_uri"),
        ("[redaction]", "[redaction", "not TOML"),
        ("version = 1\n", "", "version"),
    ],
)
def test_what_vehicles_would_refuse_is_not_signed(
    region: RegionDir, capsys: pytest.CaptureFixture[str], old: str, new: str, match: str
) -> None:
    before = region.signed_policy.read_bytes()
    edit(region, old, new)
    refused(policy(region, "check"), capsys, match)
    refused(policy(region, "sign"), capsys, match)
    assert region.signed_policy.read_bytes() == before


def test_another_root_key_can_not_sign(region: RegionDir, capsys: pytest.CaptureFixture[str]) -> None:
    edit(region, "retention_days = 365", "retention_days = 30")
    region.root_key.write_bytes(bytes(32))
    refused(policy(region, "sign"), capsys, "is not the key that")
    region.root_key.unlink()
    refused(policy(region, "sign"), capsys, "root.key: can't be read")


def test_a_signed_policy_that_was_touched_is_told_by_everyone(
    region: RegionDir, capsys: pytest.CaptureFixture[str]
) -> None:
    region.signed_policy.write_bytes(region.signed_policy.read_bytes().replace(b'"CN"', b'"DE"'))
    for command in ("check", "sign", "show"):
        if command == "sign":
            edit(region, "retention_days = 365", "retention_days = 30")
        refused(policy(region, command), capsys, "bad_signature")
    refused(
        main(["vehicle", "enrol", str(region.root), "--vehicle", "v", "-o", str(region.root / "v")]),
        capsys,
        "bad_signature",
    )


def test_show(region: RegionDir, capsys: pytest.CaptureFixture[str]) -> None:
    assert policy(region, "show", "--json") == 0
    facts = told(capsys)
    assert (facts["region"], facts["version"], facts["zones"]) == ("cn", 1, [])
    assert policy(region, "show") == 0
    text = capsys.readouterr().out
    assert "127.0.0.1:8883 in CN as broker.cn.fsd.invalid" in text
    assert "left_clips      deliver" in text


def test_a_new_sealing_key_joins_the_old_one(region: RegionDir, capsys: pytest.CaptureFixture[str]) -> None:
    old = load_policy(region).sealing_keys
    before = read_private(region.sealing_key, 32)
    assert policy(region, "rotate", "--key", "sealing", "--json") == 0
    key_id = told(capsys)["key_id"]
    assert load_policy(region).sealing_keys == old, "nothing counts before it is signed"
    assert policy(region, "sign") == 0
    new = load_policy(region)
    assert new.sealing_key_id == key_id
    assert set(new.sealing_keys) > set(old)
    assert read_private(region.retired_sealing_key(old[0].key_id), 32) == before
    assert len(region.sealing_keys()) == 2


@pytest.mark.parametrize("purpose", ["receipt", "campaigns"])
def test_a_new_signing_key_joins_the_old_one(region: RegionDir, purpose: str) -> None:
    path = region.receipt_key if purpose == "receipt" else region.campaign_key
    before = path.read_bytes()
    assert policy(region, "rotate", "--key", purpose) == 0
    assert policy(region, "sign") == 0
    new = load_policy(region)
    assert len(new.receipt_keys if purpose == "receipt" else new.campaign_keys) == 2
    assert path.read_bytes() != before
    assert path.stat().st_mode & 0o777 == 0o600


def test_keys_can_not_pile_up(region: RegionDir, capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(7):
        assert policy(region, "rotate", "--key", "campaigns") == 0
    before = region.campaign_key.read_bytes()
    refused(policy(region, "rotate", "--key", "campaigns"), capsys, "$.keys.campaigns")
    assert region.campaign_key.read_bytes() == before
    assert decode_policy(region.policy.read_bytes(), "draft")


def test_init_refuses_what_a_jurisdiction_forbids(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    argv = ["region", "init", str(tmp_path / "x"), "--id", "x"]
    refused(main([*argv, "--jurisdiction", "CN", "--country", "SG"]), capsys, "SG is not allowed for CN")
    refused(main([*argv, "--jurisdiction", "CN", "--jurisdiction", "HK"]), capsys, "can't be served together")
    refused(main([*argv, "--jurisdiction", "DE", "--host", "broker.example"]), capsys, "every address")
    named = ["--host", "broker.example", "--address", "192.0.2.7", "--country", "NL"]
    assert list(tmp_path.iterdir()) == []
    assert main([*argv, "--jurisdiction", "DE", *named]) == 0
    (endpoint,) = load_policy(RegionDir(tmp_path / "x")).endpoints
    assert (endpoint.host, endpoint.addresses, endpoint.country) == ("broker.example", ("192.0.2.7",), "NL")
