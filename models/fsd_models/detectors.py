"""Which class runs a model package: by the manifest's ``kind``."""

from __future__ import annotations

from fsd_models.fastestdet import FastestDet
from fsd_models.lpd_yunet import LpdYunet
from fsd_models.nanodet import Nanodet
from fsd_models.network import Network
from fsd_models.package import ModelPackage
from fsd_models.session import SessionLimits
from fsd_models.yunet import Yunet

_CLASSES: dict[str, type[FastestDet | LpdYunet | Nanodet | Yunet]] = {
    "fastestdet": FastestDet,
    "lpd-yunet": LpdYunet,
    "nanodet": Nanodet,
    "yunet": Yunet,
}
"""Of every kind that a manifest may have."""


def open_detector(package: ModelPackage, limits: SessionLimits | None = None) -> Network:
    """The package in a session. Raises :class:`ModelPackageError`."""
    return _CLASSES[package.manifest.kind](package, limits)
