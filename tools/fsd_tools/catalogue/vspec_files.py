"""Files of a signal tree as flat maps from path to attributes, each with the place it was written at.

Two forms are read: the standard's sources (``.vspec``: YAML with ``#include``, keys are paths below the including
branch) and its releases (``.json``, ``.yaml``: the whole tree, nested by ``children``, or flat). Refused here,
with file and line, is what the standard's own reader lets pass: a key that is there twice (the last would win in
silence) and files that include each other in a circle.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from fsd_tools.errors import ToolError

try:
    from yaml import CSafeLoader as Loader
except ImportError:  # PyYAML without libyaml: the same result, ten times slower
    from yaml import SafeLoader as Loader  # type: ignore[assignment]

MAX_BYTES = 32 << 20
"""Ten times the largest release; more is not a signal tree."""


@dataclass(slots=True)
class Flat:
    """One file, or one with what it includes."""

    data: dict[str, dict[str, Any]] = field(default_factory=dict)
    where: dict[str, str] = field(default_factory=dict)
    """``file:line`` by path."""


def read_text(path: Path) -> str:
    """A file's text. Raises :class:`ToolError` naming it."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ToolError(f"{path}: is larger than {MAX_BYTES >> 20} MiB, which no signal tree is")
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise ToolError(f"{path}: can't be read: {error.strerror or error}") from None
    except UnicodeDecodeError as error:
        raise ToolError(f"{path}: is not UTF-8 text: {error}") from None


def check_keys(path: Path, text: str) -> dict[str, int]:
    """Line by top-level key. Raises :class:`ToolError` on text that isn't YAML, isn't a map, or repeats a key."""
    try:
        root = yaml.compose(text, Loader=Loader)
        if root is None:
            return {}
        if not isinstance(root, yaml.MappingNode):
            raise ToolError(f"{path}: is a list or a single value; a map of paths is wanted")
        for key, _ in root.value:
            if key.tag != "tag:yaml.org,2002:str":
                raise ToolError(f"{path}:{key.start_mark.line + 1}: a path is text, not {key.value!r}")
        for again in _repeated(root):
            raise ToolError(f"{path}:{again.start_mark.line + 1}: {again.value}: is there twice")
    except (yaml.YAMLError, RecursionError) as error:
        raise ToolError(f"{path}: is not YAML: {' '.join(str(error).split())}") from None
    return {key.value: key.start_mark.line + 1 for key, _ in root.value}


def _repeated(node: yaml.Node) -> Iterator[yaml.ScalarNode]:
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    yield key
                seen.add(key.value)
            yield from _repeated(value)
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            yield from _repeated(value)


def read_release(path: Path) -> Flat:
    """A released tree (``.json``, ``.yaml``, ``.yml``). Raises :class:`ToolError` naming file and path."""
    text = read_text(path)
    try:
        raw = json.loads(text) if path.suffix == ".json" else yaml.load(text, Loader=Loader)
    except (ValueError, yaml.YAMLError, RecursionError) as error:
        raise ToolError(f"{path}: can't be read: {' '.join(str(error).split())}") from None
    if not isinstance(raw, dict):
        raise ToolError(f"{path}: is not a map of paths")
    flat = Flat()
    for name, attributes in raw.items():
        _flatten(path, str(name), attributes, flat)
    return flat


def _flatten(file: Path, path: str, attributes: Any, flat: Flat) -> None:
    if not isinstance(attributes, dict):
        raise ToolError(f"{file}: {path}: a map of attributes is wanted, not {attributes!r}")
    own = {key: value for key, value in attributes.items() if key != "children"}
    flat.data[path], flat.where[path] = own, str(file)
    children = attributes.get("children", {})
    if not isinstance(children, dict):
        raise ToolError(f"{file}: {path}: children: a map is wanted")
    for name, child in children.items():
        _flatten(file, f"{path}.{name}", child, flat)
