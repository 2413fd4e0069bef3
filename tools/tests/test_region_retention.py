"""A region removes what it may not keep any longer, says so for good, and an audit tells that from a loss."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from fsd_agent.adapters.key_files import read_private
from fsd_agent.records.clip import ExpiredClip
from fsd_agent.rules.trust.registration import BELIEVE_NS
from fsd_agent.testing.clock import ManualClock
from fsd_agent.wire.expired import encode_expired, verify_expired
from fsd_agent.wire.moments import DAY_NS
from fsd_agent.wire.policy import decode_policy
from fsd_agent.wire.verdict import VerdictError
from fsd_tools.main import main
from fsd_tools.region.expired import Expired, read_expiry
from fsd_tools.region.layout import RegionDir
from fsd_tools.region.retention import CLIPS_A_STEP, PASS_EVERY_NS, Keeper, expire
from fsd_tools.region.store import ClipStore, StoredClip, StoreError

DAYS = 365
NOW_NS = time.time_ns()


@pytest.fixture
def region(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> RegionDir:
    assert main(["region", "init", str(tmp_path / "cn"), "--id", "cn", "--jurisdiction", "CN"]) == 0
    capsys.readouterr()
    return RegionDir(tmp_path / "cn")


def store(region: RegionDir, number: int, days_ago: float, now_ns: int = NOW_NS) -> StoredClip:
    clip_id, stored_ns = f"{number:032x}", now_ns - int(days_ago * DAY_NS)
    return ClipStore(region.store).put(
        "car-1",
        clip_id,
        [b"content"],
        check=lambda _path: None,
        facts=lambda size: StoredClip(clip_id, "car-1", "cn", f"{number:064x}", 1000, size, stored_ns, {}),
    )


def names(region: RegionDir) -> list[str]:
    return sorted(path.name for path in (region.store / "car-1").iterdir())


def test_what_is_over_goes_and_a_signed_record_of_it_stays(
    region: RegionDir, capsys: pytest.CaptureFixture[str]
) -> None:
    old, young = store(region, 1, DAYS + 0.1), store(region, 2, DAYS - 0.1)
    assert main(["region", "retention", str(region.root), "--dry-run"]) == 0
    said = capsys.readouterr().out
    assert old.clip_id in said
    assert "1 clips would go, 1 stay; retention is 365 days" in said
    assert len(names(region)) == 4
    assert not region.expired.exists()
    assert main(["region", "retention", str(region.root), "--json"]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert json.loads(line) | {"stored_wall_ns": 0} == {
        "clip": old.clip_id, "vehicle": "car-1", "bytes": 7, "stored_wall_ns": 0, "removed": True,
    }  # fmt: skip
    assert names(region) == [f"{young.clip_id}.json", f"{young.clip_id}.mcap"]
    record = Expired(region.expired).find("car-1", old.clip_id)
    assert record is not None
    policy = decode_policy(region.policy.read_bytes(), "policy")
    said_ = verify_expired(
        record.envelope,
        policy.receipt_public_keys,
        clip_id=old.clip_id,
        region_id="cn",
        vehicle="car-1",
        sha256=bytes.fromhex(old.sealed_sha256),
    )
    assert (said_.stored_wall_ns, said_.retention_days) == (old.stored_wall_ns, DAYS)
    assert said_.expired_wall_ns >= NOW_NS
    assert main(["region", "retention", str(region.root)]) == 0
    assert "0 clips removed, 1 stay" in capsys.readouterr().out


def test_what_was_signed_is_bound_to_the_clip_and_is_no_receipt(region: RegionDir) -> None:
    key = read_private(region.receipt_key, 32)
    policy = decode_policy(region.policy.read_bytes(), "policy")
    said = ExpiredClip("1" * 32, "cn", "car-1", bytes(32), 1, 2, 3)
    whole = encode_expired(said, key)
    about = {"clip_id": "1" * 32, "region_id": "cn", "vehicle": "car-1", "sha256": bytes(32)}
    assert verify_expired(whole, policy.receipt_public_keys, **about) == said  # type: ignore[arg-type]
    for field, other in (("clip_id", "2" * 32), ("region_id", "eu"), ("vehicle", "car-2"), ("sha256", b"1" * 32)):  # fmt: skip
        with pytest.raises(VerdictError, match=field):
            verify_expired(whole, policy.receipt_public_keys, **{**about, field: other})  # type: ignore[arg-type]
    with pytest.raises(VerdictError):
        verify_expired(whole[:-1] + b"x", policy.receipt_public_keys, **about)  # type: ignore[arg-type]
    with pytest.raises(VerdictError, match="at most"):
        verify_expired(bytes(2000), policy.receipt_public_keys, **about)  # type: ignore[arg-type]


def test_the_newest_signed_policy_decides(region: RegionDir, capsys: pytest.CaptureFixture[str]) -> None:
    store(region, 1, 40)
    region.policy.write_text(region.policy.read_text().replace("retention_days = 365", "retention_days = 30"))
    assert main(["region", "retention", str(region.root)]) == 0
    assert "0 clips removed" in capsys.readouterr().out, "nothing counts before it is signed"
    assert main(["region", "policy", "sign", str(region.root)]) == 0
    assert main(["region", "retention", str(region.root)]) == 0
    assert "1 clips removed, 0 stay; retention is 30 days" in capsys.readouterr().out


def test_a_record_is_durable_before_anything_goes(region: RegionDir) -> None:
    clip = store(region, 1, DAYS + 1)
    (region.expired / "car-1").mkdir(parents=True)
    blocked = region.expired / "car-1" / f"{clip.clip_id}.json"
    blocked.mkdir()
    assert main(["region", "retention", str(region.root)]) == 1
    assert len(names(region)) == 2, "it can't be recorded, so it stays"
    blocked.rmdir()
    (region.store / "car-1" / f"{clip.clip_id}.mcap").unlink()
    assert main(["region", "retention", str(region.root)]) == 0, "a removal that was cut off is done again"
    assert names(region) == []


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda region: region.receipt_key.unlink(), "receipt.key: can't be read"),
        (lambda region: region.signed_policy.unlink(), "region.signed: No such file"),
        (lambda region: next((region.store / "car-1").glob("*.json")).write_text("{"), "truncated"),
    ],
)  # fmt: skip
def test_what_can_not_be_done_is_said(
    region: RegionDir,
    spoil: Callable[[RegionDir], object],
    says: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    store(region, 1, DAYS + 1)
    spoil(region)
    assert main(["region", "retention", str(region.root)]) == 1
    assert says in capsys.readouterr().err
    assert len(names(region)) == 2


class Served:
    """The keeper of a region that is served, on a clock that is moved by hand."""

    def __init__(self, region: RegionDir) -> None:
        self.clock = ManualClock(wall_ns=NOW_NS)
        self.told: list[tuple[str, dict[str, str | int]]] = []
        self.keeper = Keeper(
            region,
            lambda name, fields: self.told.append((name, fields)),
            wall_ns=self.clock.wall_ns,
            monotonic_ns=self.clock.monotonic_ns,
        )

    def run(self, minutes: int) -> None:
        for _ in range(minutes):
            self.clock.advance(60_000_000_000)
            self.keeper.step()


def test_a_served_region_removes_once_its_clock_is_believed(region: RegionDir) -> None:
    store(region, 1, DAYS + 1)
    served = Served(region)
    served.run(BELIEVE_NS // 60_000_000_000)
    assert served.told == []
    served.run(2)
    assert served.told == [("expired", {"vehicle": "car-1", "clip": f"{1:032x}"})]
    store(region, 2, DAYS + 1)
    served.run(PASS_EVERY_NS // 60_000_000_000 + 1)
    assert len(served.told) == 2


def test_a_clock_that_is_set_ahead_and_back_removes_nothing(region: RegionDir) -> None:
    store(region, 1, 1)
    served = Served(region)
    for _ in range(5):
        served.clock.jump_wall(1000 * DAY_NS)
        served.run(4)
        served.clock.jump_wall(-1000 * DAY_NS)
        served.run(10)
    assert served.told == []


def test_many_clips_are_looked_at_some_at_a_time(region: RegionDir) -> None:
    for number in range(CLIPS_A_STEP + 5):
        store(region, number, DAYS + 1)
    served = Served(region)
    served.run(6)
    while not served.told:
        served.run(1)
    assert len(served.told) == CLIPS_A_STEP
    served.run(1)
    assert len(served.told) == CLIPS_A_STEP + 5


def test_a_fault_is_told_and_does_not_end_the_region(region: RegionDir) -> None:
    clip = store(region, 1, DAYS + 1)
    key = region.receipt_key.read_bytes()
    region.receipt_key.unlink()
    served = Served(region)
    served.run(10)
    ((name, fields),) = served.told
    assert name == "retention_failed"
    assert "receipt.key" in str(fields["reason"])
    region.receipt_key.write_bytes(key)
    region.receipt_key.chmod(0o600)
    served.run(PASS_EVERY_NS // 60_000_000_000 + 1)
    assert served.told[-1] == ("expired", {"vehicle": "car-1", "clip": clip.clip_id})


def test_a_damaged_record_is_named(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text("{}")
    with pytest.raises(StoreError, match=r"x\.json"):
        read_expiry(path)
    path.write_bytes(b'{"\xff": 1}')
    with pytest.raises(StoreError, match=r"x\.json: 'utf-8'"):
        read_expiry(path)
    with pytest.raises(StoreError, match=r"x\.json: 'utf-8'"):
        ClipStore(tmp_path.parent).find(tmp_path.name, "x")


def test_expire_is_lazy(region: RegionDir) -> None:
    """The receiver's messages have their turn between two of them."""
    store(region, 1, DAYS + 1)
    store(region, 2, DAYS + 1)
    policy = replace(decode_policy(region.policy.read_bytes(), "policy"), retention_days=1)
    clips = expire(region, policy, NOW_NS)
    assert next(clips)[1]
    assert len(names(region)) == 2
