"""Functions that look back, and named things, as nodes of a program.

The car knows few of them (``records.nodes``); the others are written with those:

* ``held(c, d)`` is ``!once(!c, d)``; ``fell(c)`` is ``rose(!c)``
* ``since(c) < d`` is ``once(c, d)``; ``since(c) <= d`` is ``once(c, d + 1 ns)``; ``>=`` and ``>`` are their negations
* ``flicker(k, w)`` is ``count_over(detections.exists(d, d.kind == k), w)``
* ``jitter(k, w)`` is ``mean_over`` of the largest ``d.jitter`` among detections of kind k
* ``disagree(a, b)`` is whether one of them shows a pedestrian or cyclist and the other none
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from fsd_agent.records.program import MODES, Op, is_source
from fsd_firmware.catalogue import Catalogue
from fsd_firmware.samples import Kind
from fsd_tools.campaign.builder import NodeBuilder
from fsd_tools.campaign.cel import did_you_mean
from fsd_tools.campaign.checked import Call, Const, Expr
from fsd_tools.campaign.functions import FUNCTIONS
from fsd_tools.campaign.refusals import ConditionError
from fsd_tools.campaign.windows import WindowError, seconds_ns, window_ns

KINDS: Final = tuple(kind.name.lower() for kind in Kind)
Scope = tuple[str, ...]
"""Loop variables around an expression, innermost last."""
_WINDOWED: Final = {
    "rate": Op.RATE,
    "max_over": Op.MAX_OVER,
    "min_over": Op.MIN_OVER,
    "mean_over": Op.MEAN_OVER,
    "std_over": Op.STD_OVER,
    "count_over": Op.COUNT_OVER,
}
_MIRRORED: Final = {"_<_": "_>_", "_<=_": "_>=_", "_>_": "_<_", "_>=_": "_<=_"}
_SECONDS: Final = "since() is compared with a number of seconds, as in since(x) < 3.0"


@dataclass(frozen=True, slots=True, eq=False)
class Names:
    """What a condition may refer to."""

    catalogue: Catalogue
    cameras: tuple[str, ...]
    zones: tuple[str, ...] = ()
    """Of the campaign's file."""
    heads: tuple[str, ...] = ()


def closest(name: str, names: tuple[str, ...], *, none: str = "none") -> str:
    """What to write instead of ``name``: the nearest of ``names``, or all of them."""
    return did_you_mean(name, names) or f"; there is {', '.join(names) or none}"


@dataclass(frozen=True, slots=True, eq=False)
class FunctionLowering:
    """Lowers the functions of :data:`FUNCTIONS`; ``add`` lowers an argument and gives its node."""

    builder: NodeBuilder
    names: Names
    add: Callable[[Expr, Scope], int]
    refuse: Callable[[Expr, str], ConditionError]

    def call(self, expr: Call, scope: Scope) -> int:
        """The node of a function's value. Raises :class:`ConditionError`."""
        name, args = expr.function, expr.args
        if name in _WINDOWED:
            return self.builder.add(
                _WINDOWED[name], (self._past(expr, scope),), window_ns=self._window(args[1])
            )
        if name == "held":
            return self._held(expr, scope)
        if name in {"rose", "fell"}:
            condition = self._past(expr, scope)
            return self.builder.add(
                Op.RISE, (self.builder.negated(condition) if name == "fell" else condition,)
            )
        if name == "previous":
            return self.builder.add(Op.PREVIOUS, (self._past(expr, scope),))
        if name == "since":
            raise self.refuse(expr, _SECONDS)
        if name in {"flicker", "jitter"}:
            return self._of_kind(expr)
        return self._named(expr)

    def since(self, expr: Call, scope: Scope) -> int | None:
        """A comparison with ``since(c)``, whichever way round; None for any other. Raises :class:`ConditionError`."""
        left, right = expr.args
        function = expr.function
        if not _is_since(left):
            left, right, function = right, left, _MIRRORED.get(function, function)
        if not isinstance(left, Call) or not _is_since(left):
            return None
        bound = right.value if isinstance(right, Const) else None
        if function not in _MIRRORED or isinstance(bound, bool) or not isinstance(bound, int | float):
            raise self.refuse(expr, _SECONDS)
        try:
            window = seconds_ns(bound, extra_ns=1 if function in {"_<=_", "_>_"} else 0)
        except WindowError as error:
            raise self.refuse(right, str(error)) from None
        once = self.builder.add(Op.ONCE, (self._past(left, scope),), window_ns=window)
        return once if function in {"_<_", "_<=_"} else self.builder.negated(once)

    def _held(self, expr: Call, scope: Scope) -> int:
        condition = self.builder.negated(self._past(expr, scope))
        return self.builder.negated(
            self.builder.add(Op.ONCE, (condition,), window_ns=self._window(expr.args[1]))
        )

    def _past(self, expr: Call, scope: Scope) -> int:
        """The first argument, of which the past is asked."""
        at = self.add(expr.args[0], scope)
        if self.builder.is_box(at):
            reason = (
                f"{expr.function}() looks back at a single detection, which has no past of its own; "
                f"ask about all of them, as in {expr.function}(detections.exists(...))"
            )
            raise self.refuse(expr, reason)
        return at

    def _window(self, expr: Expr) -> int:
        if isinstance(expr, Call) and expr.function == "duration":
            expr = expr.args[0]
        if not isinstance(expr, Const) or not isinstance(expr.value, str):
            raise self.refuse(expr, 'a window is a literal, as in "2s" or duration("2s")')
        try:
            return window_ns(expr.value)
        except WindowError as error:
            raise self.refuse(expr, str(error)) from None

    def _of_kind(self, expr: Call) -> int:
        build = self.builder
        kind = self._text(expr, 0)
        if kind not in KINDS:
            raise self.refuse(expr.args[0], f"unknown kind {kind!r}{closest(kind, KINDS)}")
        is_kind = build.add(Op.EQ, (build.add(Op.FIELD, (), "kind"), build.add(Op.LITERAL, (), kind)))
        detections, window = build.add(Op.DETECTIONS), self._window(expr.args[1])
        if expr.function == "flicker":
            return build.add(Op.COUNT_OVER, (build.add(Op.EXISTS, (detections, is_kind)),), window_ns=window)
        of_kind = build.add(Op.FILTER, (detections, is_kind))
        largest = build.add(Op.BOX_MAX, (of_kind, build.add(Op.FIELD, (), "jitter")))
        return build.add(Op.MEAN_OVER, (largest,), window_ns=window)

    def _named(self, expr: Call) -> int:
        name = self._text(expr, 0)
        if expr.function == "disagree":
            first, second = self._sees(expr, 0), self._sees(expr, 1)
            if first == second:
                raise self.refuse(expr, f"disagree() compares {name!r} with itself")
            return self.builder.add(Op.NE, (first, second))
        op, known, what = {
            "within": (Op.ZONE, self.names.zones, "zone {} in this file's 'zones'"),
            "head": (Op.HEAD, self.names.heads, "head {} in this file's 'heads'"),
            "mode": (Op.MODE, MODES, "drive mode {}"),
        }[expr.function]
        if name not in known:
            raise self.refuse(expr.args[0], f"no {what.format(repr(name))}{closest(name, known)}")
        return self.builder.add(op, (), name)

    def _sees(self, expr: Call, at: int) -> int:
        """Whether a camera or source shows a pedestrian or cyclist."""
        name, cameras = self._text(expr, at), self.names.cameras
        if name not in cameras and not is_source(name):
            reason = f"no camera {name!r} on this vehicle{closest(name, cameras)}"
            raise self.refuse(expr.args[at], reason)
        none = self.builder.add(Op.LITERAL, (), 0)
        return self.builder.add(Op.GT, (self.builder.add(Op.SEEN, (), name), none))

    def _text(self, expr: Call, at: int) -> str:
        arg = expr.args[at]
        if not isinstance(arg, Const) or not isinstance(arg.value, str):
            raise self.refuse(arg, f"names are literals here: {FUNCTIONS[expr.function].usage}")
        return arg.value


def _is_since(expr: Expr) -> bool:
    return isinstance(expr, Call) and expr.function == "since"
