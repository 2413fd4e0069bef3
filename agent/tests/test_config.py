"""Configuration: what is wrong is said with file and key, before anything starts."""

from __future__ import annotations

from pathlib import Path

import pytest

from fsd_agent.daemon.config import ConfigError, load_config
from fsd_agent.records.room import Amount
from fsd_agent.rules.spool.evict import Quotas
from fsd_agent.rules.spool.headroom import Band, HeadroomLimits

GOOD = """
[firmware]
source = "drive:city.mcap"
registration = "registration.signed"
[vehicle]
dir = "."
[storage]
dir = "data"
"""


def test_a_short_configuration_gets_the_defaults(tmp_path: Path) -> None:
    path = tmp_path / "agent.toml"
    path.write_text(GOOD)
    config, base = load_config(path)
    assert base == tmp_path
    assert config.firmware.speed == "real"
    assert config.perception is None
    assert config.video.when == "always"
    assert config.firmware.link == "link.json"
    uplink = config.uplink
    assert (uplink.dscp, uplink.cellular_bytes_per_s, uplink.wifi_bytes_per_s) == (1, 500_000, 0)
    assert (uplink.metered_bytes_per_day, uplink.metered_bytes_per_month) == (10**8, 10**9)
    policy = config.storage.policy()
    assert policy.quotas == Quotas(Amount(20_000_000_000, 50_000))
    assert policy.limits.none.leave == Amount(64_000_000, 16)


def test_quotas_reserve_and_levels_are_configured(tmp_path: Path) -> None:
    path = tmp_path / "agent.toml"
    path.write_text(
        GOOD.replace(
            'dir = "data"',
            """dir = "data"
quota_bytes = 1000
quota_files = 100
reserve_bytes = 160_000
free_bytes = 40_000
free_files = 8
slow_ms = 2
scarce_priority = -3
scrub_bytes_per_s = 9
[storage.regions.cn]
quota_bytes = 10
[storage.regions.eu]
quota_files = 7
""",
        )
    )
    policy = load_config(path)[0].storage.policy()
    assert policy.quotas == Quotas(Amount(1000, 100), {"cn": Amount(10, 100), "eu": Amount(1000, 7)})
    assert policy.limits == HeadroomLimits(
        tight=Band(Amount(200_000, 24), Amount(210_000, 26)),
        scarce=Band(Amount(180_000, 20), Amount(190_000, 22)),
        none=Band(Amount(80_000, 8), Amount(160_000, 16)),
        slow_ns=2_000_000,
    )
    assert load_config(path)[0].storage.scrub_bytes_per_s == 9
    assert (policy.spare, policy.scarce_priority) == (Amount(20_000, 4), -3)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("[storage]", "[storge]"), "storge"),
        (("[storage]", '[video]\nwhen = "sometimes"\n[storage]'), r"\$.video.when"),
        (('dir = "data"', "dir = 3"), r"\$.storage.dir"),
        (('dir = "data"', 'dir = "data"\nquota_bytes = 0'), r"\$.storage.quota_bytes"),
        (('dir = "data"', 'dir = "data"\nquota_files = 50_001'), r"\$.storage.quota_files"),
        (('dir = "data"', 'dir = "data"\nreserve_bytes = 65_535'), r"\$.storage.reserve_bytes"),
        (('dir = "data"', 'dir = "data"\nscarce_priority = 1002'), r"\$.storage.scarce_priority"),
        (('dir = "data"', 'dir = "data"\n[storage.regions.CN]'), "key.* in .\\$.storage.regions"),
        (('dir = "data"', 'dir = "data"\n[storage.regions.cn]\nquota = 3'), "quota"),
        (('dir = "data"', 'dir = "data"\n[sense]\ntick_ms = 0'), r"\$.sense.tick_ms"),
        (('source = "drive:city.mcap"\n', ""), "source"),
        (("drive:city.mcap", "can:0"), r"\$.firmware.source"),
        (("drive:city.mcap", "drive:"), r"\$.firmware.source"),
        (("[vehicle]", "[vehicle"), "is not TOML"),
        (("[storage]", "[uplink]\ndscp = 64\n[storage]"), r"\$.uplink.dscp"),
        (
            ("[storage]", "[uplink]\nmetered_bytes_per_day = -1\n[storage]"),
            r"\$.uplink.metered_bytes_per_day",
        ),
        (("[storage]", "[uplink]\ncellular_bytes_per_s = 0.5\n[storage]"), r"\$.uplink.cellular_bytes_per_s"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, change: tuple[str, str], says: str) -> None:
    path = tmp_path / "agent.toml"
    path.write_text(GOOD.replace(*change))
    with pytest.raises(ConfigError, match=says) as caught:
        load_config(path)
    assert str(path) in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.toml: can't be read"):
        load_config(tmp_path / "nowhere.toml")


TOKEN = '[vehicle.token]\nmodule = "/usr/lib/module.so"\nlabel = "car-1"\npin_file = "pin"\n'


def test_a_token_is_named_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "agent.toml"
    path.write_text(GOOD + TOKEN)
    token = load_config(path)[0].vehicle.token
    assert token is not None
    assert (token.module, token.label, token.pin_file) == ("/usr/lib/module.so", "car-1", "pin")
    for old, new, says in (
        ('pin_file = "pin"\n', "", "pin_file"),
        ('"/usr/lib/module.so"', '"module.so"', "module"),
        ('"car-1"', '""', "label"),
        ("label", "labell", "labell"),
    ):
        path.write_text(GOOD + TOKEN.replace(old, new))
        with pytest.raises(ConfigError, match=says):
            load_config(path)
