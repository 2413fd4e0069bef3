"""The standard's tree with overlays, read by the standard's own library: the one place that knows vss-tools.

An overlay is a ``.vspec`` file that adds nodes or overrides attributes of nodes, as the standard defines
(https://covesa.github.io/vehicle_signal_specification/rule_set/overlay/); later overlays win. Two things are
stricter here: an overlay may not change a signal's datatype (conditions were written against the standard's), and
a pattern (``Vehicle.*.IsOn``) that matches nothing is refused.

The library logs at import and keeps units and datatypes in globals; both are put right here, so that reading one
tree leaves nothing behind for the next.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from fsd_tools.catalogue.tree import NUMBERS, Node, SignalTree, limit
from fsd_tools.catalogue.units import QUANTITIES
from fsd_tools.catalogue.vspec_files import Flat, check_keys, read_release, read_text
from fsd_tools.errors import ToolError

_root_log: Final = logging.getLogger()
_handlers, _level = list(_root_log.handlers), _root_log.level

from anytree import PreOrderIter  # noqa: E402 - after the state of logging was kept
from pydantic import ValidationError  # noqa: E402
from vss_tools import datatypes, log  # noqa: E402
from vss_tools.model import (  # noqa: E402
    ModelException,
    ModelValidationException,
    VSSDataDatatype,
    VSSUnit,
)
from vss_tools.tree import (  # noqa: E402
    InvalidExpansionEntryException,
    InvalidInstanceNodeException,
    MultipleRootsException,
    NoRootsException,
    NotMergeableException,
    NoVSSDataException,
    build_tree,
)
from vss_tools.units_quantities import (  # noqa: E402
    DuplicatedUnitException,
    MalformedDictException,
    load_quantities,
    load_units,
)
from vss_tools.vspec import (  # noqa: E402
    IncludeNotFoundException,
    IncludeStatementException,
    InvalidSpecException,
    VSpec,
)

_root_log.handlers[:] = _handlers
_root_log.setLevel(_level)
log.disabled = True

BUILT_IN: Final = Path(__file__).parent / "vss_6_0.vspec"
"""What is used where nobody names another: facts of release 6.0, see the file's head."""
MAX_DEPTH: Final = 32
"""Files that include one another, one below the other."""
_BROKEN: Final = (
    InvalidExpansionEntryException,
    InvalidInstanceNodeException,
    ModelException,
    NotMergeableException,
    NoVSSDataException,
    RecursionError,
    TypeError,
    ValidationError,
)


def load_tree(standard: Path = BUILT_IN, overlays: Sequence[Path] = ()) -> SignalTree:
    """The tree of ``standard`` (``.vspec`` source, or a released ``.json`` or ``.yaml``) under ``overlays``.

    Raises :class:`ToolError` naming file, path and reason.
    """
    source = standard.suffix == ".vspec"
    base = _read_source(standard) if source else read_release(standard)
    _register_units(standard if source else None, base.data.values())
    merged = Flat({path: dict(own) for path, own in base.data.items()}, dict(base.where))
    on_instances = False
    for overlay in overlays:
        if overlay.suffix != ".vspec":
            raise ToolError(f"{overlay}: an overlay is a .vspec file")
        on_instances |= _lay(merged, _read_source(overlay), overlay)
    nodes = _nodes(merged, standard)
    if on_instances:
        _refuse_other_types(nodes, _nodes(base, standard))
    return SignalTree(standard.name, nodes)


def _read_source(path: Path, prefix: str | None = None, above: tuple[Path, ...] = ()) -> Flat:
    """One ``.vspec`` file and all that it includes, by full path."""
    if path.resolve() in above:
        chain = " -> ".join(file.name for file in (*above[above.index(path.resolve()) :], path))
        raise ToolError(f"{path}: includes itself: {chain}")
    if len(above) >= MAX_DEPTH:
        raise ToolError(f"{path}: more than {MAX_DEPTH} files include one another")
    lines = check_keys(path, read_text(path))
    try:
        spec = VSpec(path, prefix)
        includes = [(one.resolve_path([path.parent]), one.prefix) for one in spec.includes]
    except (InvalidSpecException, IncludeStatementException, IncludeNotFoundException) as error:
        raise ToolError(f"{path}: {error}") from None
    where = {f"{prefix}.{key}" if prefix else key: f"{path}:{line}" for key, line in lines.items()}
    flat = Flat(spec.data, where)
    for include, below in includes:
        more = _read_source(include, below, (*above, path.resolve()))
        for key, own in more.data.items():
            flat.data.setdefault(key, {}).update(own)
        flat.where.update(more.where)
    return flat


def _lay(under: Flat, over: Flat, file: Path) -> bool:
    """Put an overlay on top, its patterns expanded; whether it states a datatype below a branch with instances.

    A datatype that differs from the one below is refused here where the same path is there, and after the
    expansion where it is an instance's.
    """
    many = tuple(f"{path}." for path, own in under.data.items() if "instances" in own)
    on_instances = False
    for key, own in over.data.items():
        if not isinstance(own, dict):
            raise ToolError(f"{over.where[key]}: {key}: a map of attributes is wanted, not {own!r}")
        for path in [key] if "*" not in key else _matches(under, key, file):
            old = under.data.setdefault(path, {})
            if "datatype" in own and "datatype" in old:
                _refuse_other_type(over.where[key], path, str(old["datatype"]), str(own["datatype"]))
            on_instances |= "datatype" in own and path.startswith(many)
            old.update(own)
            under.where[path] = over.where[key]
    return on_instances


def _matches(under: Flat, pattern: str, file: Path) -> list[str]:
    probe = VSpec.__new__(VSpec)
    probe.data = under.data
    found = list(probe._expand_globs({pattern: {}}))  # noqa: SLF001 - the standard's meaning of a pattern
    if not found:
        raise ToolError(f"{file}: {pattern}: matches no path")
    return found


def _register_units(source: Path | None, attributes: Iterable[Mapping[str, Any]]) -> None:
    """Tell the library which units there are: ours, those beside a source tree, those that a release names."""
    datatypes.dynamic_units.clear()
    datatypes.dynamic_datatypes.clear()
    datatypes.dynamic_quantities[:] = sorted({*QUANTITIES.values(), "other"})
    released = [str(own["unit"]) for own in attributes if "unit" in own] if source is None else []
    for name in [*released, *QUANTITIES]:
        datatypes.dynamic_units[name.lower()] = _unit(name)
    files = [source.parent / f"{name}.yaml" for name in ("quantities", "units")] if source else []
    try:
        for path in (file for file in files if file.exists()):
            check_keys(path, read_text(path))
            if path.stem == "quantities":
                datatypes.dynamic_quantities.extend(load_quantities([path]))
                continue
            for name, unit in load_units([path]).items():
                datatypes.dynamic_units[name] = unit
                datatypes.dynamic_units[str(unit.unit or name).lower()] = unit
    except (ModelValidationException, MalformedDictException, DuplicatedUnitException, TypeError) as error:
        raise ToolError(f"{path}: {_plain(error)}") from None


def _unit(name: str) -> VSSUnit:
    text = {"iso8601"}
    form: dict[str, Any] = {
        "definition": name,
        "unit": name,
        "key": name,
        "quantity": QUANTITIES.get(name, "other"),
        "allowed-datatypes": ["string"] if name in text else ["numeric"],
    }
    return VSSUnit(**form)


def _nodes(flat: Flat, standard: Path) -> dict[str, Node]:
    """Build, expand instances, validate; the leaves by path."""
    try:
        root, orphans = build_tree(flat.data, connect_orphans=True)
        for path in orphans:
            raise ToolError(f"{_where(flat, path, standard)}: {path}: is below another root than {root.name}")
        root.expand_instances()
        root.resolve()
    except ModelValidationException as error:
        path = str(error.element)
        raise ToolError(f"{_where(flat, path, standard)}: {path}: {_plain(error)}") from None
    except NoRootsException:
        raise ToolError(f"{standard}: has no root: a branch such as Vehicle, without a dot") from None
    except MultipleRootsException as error:
        raise ToolError(f"{standard}: has more than one root: {error}") from None
    except _BROKEN as error:
        raise ToolError(f"{standard}: {_plain(error)}") from None
    kept = [node for node in PreOrderIter(root) if not any(above.data.delete for above in node.path)]
    for node in kept:
        if node.parent is not None and isinstance(node.parent.data, VSSDataDatatype):
            path = node.get_fqn()
            raise ToolError(
                f"{_where(flat, path, standard)}: {path}: is below a signal; only branches hold others"
            )
    leaves = [(node.get_fqn(), node.data) for node in kept if isinstance(node.data, VSSDataDatatype)]
    return {path: _leaf(path, data, _where(flat, path, standard)) for path, data in leaves}


def _leaf(path: str, data: VSSDataDatatype, where: str) -> Node:
    low, high = limit(data.min, -math.inf), limit(data.max, math.inf)
    if low > high:
        raise ToolError(f"{where}: {path}: range: min {low:g} is more than max {high:g}")
    allowed = tuple(str(one) for one in data.allowed or ()) if data.datatype not in NUMBERS else ()
    codes = tuple(sorted((number, name) for name, number in (data.enum or {}).items()))
    said = " ".join((data.description or "").split())
    return Node(path, data.datatype, data.unit or "", low, high, allowed, codes, said, where)


def _where(flat: Flat, path: str, standard: Path) -> str:
    """File and line of ``path``; of the node that it is an instance of where it has no line of its own."""
    if path in flat.where:
        return flat.where[path]
    parts = path.split(".")
    made_of = [key for key in flat.where if _is_within(key.split("."), parts)]
    return flat.where[max(made_of, key=len)] if made_of else str(standard)


def _is_within(few: Sequence[str], many: Sequence[str]) -> bool:
    """Whether ``few`` are ``many`` with some left out, the last one kept."""
    rest = iter(many)
    return few[-1] == many[-1] and all(part in rest for part in few)


def _refuse_other_types(nodes: Mapping[str, Node], before: Mapping[str, Node]) -> None:
    for path, node in nodes.items():
        if path in before:
            _refuse_other_type(node.where, path, before[path].datatype, node.datatype)


def _refuse_other_type(where: str, path: str, old: str, new: str) -> None:
    """An overlay may say more about a signal, but not that it is of another datatype."""
    if old != new:
        raise ToolError(f"{where}: {path}: datatype: an overlay may not change {old} into {new}")


def _plain(error: BaseException) -> str:
    """One line of what the library says."""
    if isinstance(error, ModelValidationException):
        error = error.ve
    if isinstance(error, ValidationError):
        found = error.errors(include_url=False, include_context=False)[0]
        place = ".".join(str(part) for part in found["loc"])
        reason = str(found["msg"]).removeprefix("Value error, ")
        return f"{place}: {reason}" if place else reason
    return " ".join(str(error).split()) or type(error).__name__
