"""``fsdctl model``: assemble, verify and list model packages."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import cyclopts
import msgspec
from cyclopts import Parameter
from rich.console import Console
from rich.table import Column, Table

from fsd_models.errors import ModelPackageError
from fsd_models.package import Manifest, ModelPackage, load_package
from fsd_models.shipped import shipped_manifest, shipped_names
from fsd_tools.errors import ToolError
from fsd_tools.model.assemble import assemble_package

app = cyclopts.App(
    name="model",
    help="""Assemble and verify model packages (a folder with model.toml and its weights).

    For example:

        fsdctl model assemble nanodet-m-416-int8 --weights-from ~/weights -o ./nanodet
    """,
)


@dataclass(frozen=True, slots=True)
class PackageFacts:
    """What ``--json`` prints of one manifest."""

    name: str
    version: str
    kind: str
    licence: str
    origin: str
    sha256: str
    bytes: int
    kinds: tuple[str, ...]


@app.command
def assemble(
    name: str,
    /,
    *,
    weights_from: Path,
    output: Annotated[Path, Parameter(name=["--output", "-o"])],
    link: bool = False,
) -> int:
    """Build the package NAME from its shipped manifest and weights found by SHA-256.

    Example: fsdctl model assemble nanodet-m-416-int8 --weights-from ~/weights -o ./nanodet

    Parameters
    ----------
    name
        A manifest that `fsdctl model list` shows.
    weights_from
        Folder to search (with its subfolders) for the file with the manifest's SHA-256.
    output
        The package folder to make.
    link
        Make a hard link to the weights instead of a copy.
    """
    folder = assemble_package(name, weights_from, output, link=link)
    print(f"{folder}: {name}, weights verified")
    return 0


@app.command
def verify(
    folder: Path, /, *, as_json: Annotated[bool, Parameter(name="--json", negative="")] = False
) -> int:
    """Check a package as the agent does before it runs it: manifest, size, SHA-256, and that it loads.

    Example: fsdctl model verify ./nanodet --json

    Parameters
    ----------
    folder
        The package folder.
    as_json
        Print the facts as JSON.
    """
    try:
        package = load_package(folder)
        _open(package)
    except ModelPackageError as error:
        raise ToolError(str(error)) from None
    if as_json:
        print(msgspec.json.encode(_facts(package.manifest)).decode())
    else:
        facts = _facts(package.manifest)
        print(f"{folder}: {package.manifest.source} ({facts.kind}, {facts.licence}) is whole and loads")
        print(f"  sha256 {facts.sha256}, {facts.bytes:,} bytes")
        print(f"  origin {facts.origin}")
    return 0


@app.command(name="list")
def list_shipped(*, as_json: Annotated[bool, Parameter(name="--json", negative="")] = False) -> int:
    """Show the manifests that come with the agent; their weights don't.

    Example: fsdctl model list

    Parameters
    ----------
    as_json
        Print a JSON list.
    """
    facts = [_facts(shipped_manifest(name)) for name in shipped_names()]
    if as_json:
        print(msgspec.json.encode(facts).decode())
        return 0
    table = Table(Column("name", no_wrap=True), "version", "weights", "sha256 begins", "licence")
    for one in facts:
        table.add_row(one.name, one.version, f"{one.bytes:,} B", one.sha256[:12], one.licence)
    Console().print(table)
    return 0


def _open(package: ModelPackage) -> None:
    """Make the session, so that weights which don't fit the manifest are found here and not on the car."""
    try:
        from fsd_models.detectors import open_detector
    except ImportError as error:
        raise ToolError(f"verifying needs the optional part `video`: {error}") from None
    open_detector(package)


def _facts(manifest: Manifest) -> PackageFacts:
    return PackageFacts(
        name=manifest.name,
        version=manifest.version,
        kind=manifest.kind,
        licence=manifest.licence,
        origin=manifest.origin,
        sha256=manifest.weights.sha256,
        bytes=manifest.weights.bytes,
        kinds=tuple(sorted(set(manifest.kinds.values()))),
    )
