"""Which class runs a model package: by the manifest's ``kind``."""

from __future__ import annotations

from fsd_models.fastestdet import FastestDet
from fsd_models.nanodet import Nanodet
from fsd_models.network import Network
from fsd_models.package import ModelPackage
from fsd_models.session import SessionLimits

_CLASSES: dict[str, type[FastestDet | Nanodet]] = {"fastestdet": FastestDet, "nanodet": Nanodet}
"""Of every kind that a manifest may have."""


def open_detector(package: ModelPackage, limits: SessionLimits | None = None) -> Network:
    """The package in a session. Raises :class:`ModelPackageError`."""
    return _CLASSES[package.manifest.kind](package, limits)
