"""Shipped manifest + weights found by their SHA-256 = a model package.

The package appears whole or not at all: it is built beside the wanted folder, verified as the agent will
verify it, and renamed.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from pathlib import Path

from fsd_models.errors import ModelPackageError
from fsd_models.package import MANIFEST_NAME, Manifest, load_manifest, load_package
from fsd_models.shipped import shipped_path
from fsd_tools.errors import ToolError


def assemble_package(name: str, weights_from: Path, out: Path, *, link: bool = False) -> Path:
    """Make the package ``name`` in the new folder ``out`` and return it.

    A folder that already is exactly this package is left as it is. ``link`` makes a hard link to the weights
    instead of a copy. Raises :class:`ToolError`.
    """
    try:
        source = shipped_path(name)
        manifest = load_manifest(source)
    except ModelPackageError as error:
        raise ToolError(str(error)) from None
    if out.exists() and _is_package(out, manifest):
        return out
    weights = find_weights(manifest, weights_from)
    _refuse_occupied(out)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        building = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
    except OSError as error:
        raise ToolError(f"{out}: can't be made: {error.strerror or error}") from None
    try:
        building.chmod(0o755)
        shutil.copyfile(source, building / MANIFEST_NAME)
        _place(weights, building / manifest.weights.file, link=link)
        load_package(building)
        building.replace(out)
    except ModelPackageError as error:
        raise ToolError(f"{out}: can't be made: {error}") from None
    except OSError as error:
        raise ToolError(f"{out}: can't be made: {error.strerror or error}") from None
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return out


def find_weights(manifest: Manifest, folder: Path) -> Path:
    """The file under ``folder`` that has the manifest's size and SHA-256. Raises :class:`ToolError`."""
    if not folder.is_dir():
        raise ToolError(f"{folder}: not a folder; --weights-from names the folder that holds the weights")
    same_size = 0
    for path in sorted(folder.rglob("*")):
        if not path.is_file() or path.stat().st_size != manifest.weights.bytes:
            continue
        same_size += 1
        with path.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() == manifest.weights.sha256:
                return path
    raise ToolError(
        f"{folder}: no file with the weights of {manifest.source}: sha256 {manifest.weights.sha256},"
        f" {manifest.weights.bytes} bytes ({same_size} of that size). Origin: {manifest.origin}"
    )


def _is_package(folder: Path, manifest: Manifest) -> bool:
    try:
        return load_package(folder).manifest == manifest
    except ModelPackageError:
        return False


def _refuse_occupied(out: Path) -> None:
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ToolError(f"{out}: exists and isn't this package; name a new folder or remove it first")


def _place(weights: Path, target: Path, *, link: bool) -> None:
    if link:
        os.link(weights, target)
    else:
        shutil.copyfile(weights, target)
