"""Configuration: what is wrong is said with file and key, before anything starts."""

from __future__ import annotations

from pathlib import Path

import pytest

from fsd_agent.daemon.config import ConfigError, load_config

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
    assert config.firmware.link == "link.json"
    uplink = config.uplink
    assert (uplink.dscp, uplink.cellular_bytes_per_s, uplink.wifi_bytes_per_s) == (1, 500_000, 0)
    assert (uplink.metered_bytes_per_day, uplink.metered_bytes_per_month) == (10**8, 10**9)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("[storage]", "[storge]"), "storge"),
        (('dir = "data"', "dir = 3"), r"\$.storage.dir"),
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
