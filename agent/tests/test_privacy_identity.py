"""Signals that name the vehicle or somebody: by the standard's branches, and by words of a maker's own paths."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from fsd_agent.rules.privacy.identity import PAIRS, WORDS, names_somebody


@pytest.mark.parametrize(
    "path",
    [
        "Vehicle.VehicleIdentification.Brand",
        "Vehicle.Driver.Identifier.Subject",
        "Vehicle.Private.PairedPhoneNumber",
        "Vehicle.Connectivity.WiFiSSID",
        "Vehicle.Connectivity.ssid",
        "Vehicle.Connectivity.MACAddress",
        "Vehicle.Telematics.Modem.IMEI",
        "Vehicle.Telematics.imei_sv",
        "Vehicle.VIN2",
        "Vehicle.Body.KeyId",
        "Vehicle.Body.KeyFob3.Rssi",
        "Vehicle.Private.driver_id",
        "Vehicle.Private.BTDeviceName",
        "Vehicle.Private.Device.Name",
    ],
)
def test_what_names_somebody(path: str) -> None:
    assert names_somebody(path)


@pytest.mark.parametrize(
    "path",
    [
        "Vehicle.Speed",
        "Vehicle.FSD.Machine",
        "Vehicle.Body.KeyPosition",
        "Vehicle.Body.Key.IsInside.Id",
        "Vehicle.Interior.Vinyl",
        "Vehicle.ADAS.MicrophoneLevel",
        "Vehicle.Cabin.Infotainment.SmartphoneProjection.Active",
        "Vehicle.Driver.IsEyesOnRoad",
        "Other.Vehicle.VehicleIdentification.Brand",
        "Vehicle.Driver.Identifier",
    ],
)
def test_what_only_sounds_like_it(path: str) -> None:
    assert not names_somebody(path)


@pytest.mark.parametrize("words", [*((one,) for one in sorted(WORDS)), *sorted(PAIRS)])
def test_each_word_and_pair_counts_however_it_is_written(words: tuple[str, ...]) -> None:
    capitals = "".join(word.capitalize() for word in words)
    for leaf in (capitals, "_".join(words), ".".join(words), f"Is{capitals}Known", f"{capitals}7"):
        assert names_somebody(f"Vehicle.Private.{leaf}"), leaf


def test_these_are_all() -> None:
    """Whoever takes one away lets something leave."""
    assert {
        *("vin", "fob", "phone", "msisdn", "imei", "imeisv", "imsi", "iccid", "eid", "meid"),
        *("ssid", "bssid", "mac", "uuid", "email", "username"),
    } == WORDS
    assert {
        *(("key", one) for one in ("id", "number", "serial", "code")),
        *((one, "plate") for one in ("license", "licence")),
        *((one, "number") for one in ("registration", "serial")),
        *((one, "id") for one in ("device", "user", "driver")),
        *((one, "name") for one in ("device", "network", "user", "driver")),
        ("ip", "address"),
    } == PAIRS


def test_of_the_standards_branches_that_matter_to_driving_none_is_held_back() -> None:
    """Else a word would take away what campaigns are made for."""
    known = Path(__file__).parents[2] / "tools" / "fsd_tools" / "catalogue" / "vss_6_0.vspec"
    paths = re.findall(r"^(Vehicle[A-Za-z0-9_.]*):", known.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(paths) > 200
    assert [path for path in paths if names_somebody(path)] == []
