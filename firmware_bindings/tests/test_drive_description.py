"""What a drive says about its vehicle comes back, and a description that can't be used is refused by name."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fsd_firmware.catalogue import Catalogue, CatalogueEntry
from fsd_firmware.contract import CameraDescription, VehicleDescription
from fsd_firmware.drive.description import decode_description, encode_description

GEAR = CatalogueEntry(
    "Vehicle.Gear", "double", "", -1, 8, "Selected gear.", ((-1, "R"), (0, "N"), (126, "PARK")), 500_000_000
)
SPEED = CatalogueEntry("Vehicle.Speed", "double", "km/h", 0, 250, "Speed over ground.")
CAMERA = CameraDescription("front", 1280, 960, 20.0)
DESCRIPTION = VehicleDescription((CAMERA,), Catalogue((GEAR, SPEED)), None)


def test_labels_and_staleness_come_back() -> None:
    back = decode_description(encode_description(DESCRIPTION))
    assert back == DESCRIPTION
    assert back.catalogue.entries[1].labels == ()


@pytest.mark.parametrize(
    ("entry", "camera", "named"),
    [
        (replace(GEAR, labels=((2, "A"), (1, "B"))), CAMERA, "Vehicle.Gear: labels"),
        (replace(GEAR, labels=((1, "A"), (1, "B"))), CAMERA, "Vehicle.Gear: labels"),
        (replace(GEAR, stale_ns=-1), CAMERA, "Vehicle.Gear: .*stale_ns"),
        (GEAR, replace(CAMERA, fps=0.0), "camera front"),
        (GEAR, replace(CAMERA, name="a/b"), "camera 'a/b'"),
    ],
)
def test_what_cannot_be_used_is_refused(entry: CatalogueEntry, camera: CameraDescription, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        encode_description(VehicleDescription((camera,), Catalogue((entry,)), None))


def test_text_that_is_not_utf_8_is_refused() -> None:
    data = encode_description(VehicleDescription((CAMERA,), Catalogue((GEAR,)), None))
    with pytest.raises(ValueError, match="vehicle description: 'utf-8'"):
        decode_description(data.replace(b"Vehicle.Gear", b"Vehicle.G\xffar"))
