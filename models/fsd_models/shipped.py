"""The manifests that come with the agent: ``packages/<name>/model.toml``, never with weights.

Weights stay outside the repository; ``fsdctl model assemble`` puts both together by their SHA-256.
"""

from __future__ import annotations

from pathlib import Path

from fsd_models.errors import ModelPackageError
from fsd_models.package import MANIFEST_NAME, Manifest, load_manifest

PACKAGES = Path(__file__).parent / "packages"


def shipped_names() -> tuple[str, ...]:
    """Names of all manifests, sorted."""
    return tuple(sorted(path.parent.name for path in PACKAGES.glob(f"*/{MANIFEST_NAME}")))


def shipped_path(name: str) -> Path:
    """Where a shipped manifest lies. Raises :class:`ModelPackageError` naming those there are."""
    if name not in shipped_names():
        raise ModelPackageError(
            f"no manifest named {name!r} is shipped; there are: {', '.join(shipped_names())}"
        )
    return PACKAGES / name / MANIFEST_NAME


def shipped_manifest(name: str) -> Manifest:
    """One of them, checked."""
    return load_manifest(shipped_path(name))
