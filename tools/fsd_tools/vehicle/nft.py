"""The egress list and the kernel: loading it, and saying what is in force.

What is in force is compared as the kernel shows it: the wanted list is loaded into a network namespace made for the
purpose, and both are listed by the same nft. So neither spelling nor version matters, and a rule that somebody added
to the table shows. What passes with time is compared apart: an element may have less time left than a list made now
would give it, never more.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from fsd_agent.rules.residency.egress import TABLE, Opening, egress_ruleset
from fsd_tools.errors import ToolError

_SBIN = "/usr/local/sbin:/usr/sbin:/sbin"
"""Where Debian installs nft; not on a user's PATH."""
TIMEOUT_S = 20.0
SLACK_S = 2
"""nft shows whole seconds, and the two lists are not read in the same moment."""
_FOR_SHAPE = Opening((), 0, 1_000_000_000)
"""Any: only its form counts."""
_ENVIRONMENT = {"PATH": f"{os.defpath}:{_SBIN}", "LC_ALL": "C", "TZ": "UTC"}
"""nft shows times as dates of the local zone."""
_PASSING = frozenset({"handle", "packets", "bytes"})


class InForce(StrEnum):
    """What is in force, measured by what should be."""

    THIS = "this list"
    EXPIRED = "expired"
    """A list of this user's that has closed by itself: it lets nothing through any more."""
    ANOTHER = "another list"
    NONE = "no list"


@dataclass(frozen=True, slots=True)
class Found:
    """What is in force, and how nft shows it."""

    what: InForce
    shown: str


@dataclass(frozen=True, slots=True)
class _Listing:
    shape: list[dict[str, Any]]
    """Everything but what passes with time and the elements of sets."""
    elements: Mapping[tuple[str, str], float]
    """By set and element: seconds that it has left; infinite where it has no end."""

    def covers(self, other: _Listing) -> bool:
        """Whether ``other`` is the same list, and lasts no longer."""
        return (
            self.shape == other.shape
            and self.elements.keys() == other.elements.keys()
            and all(left <= self.elements[one] + SLACK_S for one, left in other.elements.items())
        )


def apply(ruleset: str) -> None:
    """Put the list in force, as a whole. Raises :class:`ToolError`."""
    _run([find_nft(), "-f", "-"], ruleset, "put the list in force")


def find(ruleset: str, uid: int, now_ns: int) -> Found:
    """What is in force where ``ruleset`` should be, for the user ``uid``. Raises :class:`ToolError`."""
    nft = find_nft()
    argv = [nft, "list", "table", "inet", TABLE]
    done = subprocess.run(  # noqa: S603 - argv is ours, no shell
        argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=TIMEOUT_S, check=False,
        env=_ENVIRONMENT,
    )  # fmt: skip
    if done.returncode != 0:
        if "No such file" in done.stderr:
            return Found(InForce.NONE, "")
        raise ToolError(_explain("read the list in force", done.stderr))
    present = _listing(_run([nft, "-j", *argv[1:]], "", "read the list in force"))
    if _in_a_namespace(nft, ruleset).covers(present):
        return Found(InForce.THIS, done.stdout)
    closed = _is_over(present, _in_a_namespace(nft, egress_ruleset(uid, _FOR_SHAPE)), now_ns)
    return Found(InForce.EXPIRED if closed else InForce.ANOTHER, done.stdout)


def find_nft() -> str:
    """Path of nft. Raises :class:`ToolError` saying how to get it."""
    found = shutil.which("nft") or shutil.which("nft", path=_SBIN)
    if found is None:
        raise ToolError("nft is not installed: `make setup`, or `apt-get install nftables`, gets it")
    return found


def _is_over(present: _Listing, form: _Listing, now_ns: int) -> bool:
    """Whether what is in force has the form of a list that opens, and its time is over by one of the two clocks."""
    times: list[Any] = []
    shape = [_without_times(one, times) for one in present.shape]
    if not times or shape != [_without_times(one, []) for one in form.shape]:
        return False
    return not present.elements or all(_is_past(one, now_ns) for one in times)


def _without_times(one: Any, times: list[Any]) -> Any:
    """``one`` with the moments that packets are compared with taken out, into ``times``."""
    if isinstance(one, list):
        return [_without_times(part, times) for part in one]
    if not isinstance(one, dict):
        return one
    if one.get("left") == {"meta": {"key": "time"}}:
        times.append(one.get("right"))
        return {**one, "right": None}
    return {key: _without_times(part, times) for key, part in one.items()}


def _is_past(moment: Any, now_ns: int) -> bool:
    """A form that this program does not know is not past."""
    try:
        parsed = dt.datetime.fromisoformat(str(moment)).replace(tzinfo=dt.UTC)
    except ValueError:
        return False
    return parsed.timestamp() <= now_ns / 1e9


def _in_a_namespace(nft: str, ruleset: str) -> _Listing:
    script = '"$0" -f - && exec "$0" -j list table inet "$1"'
    return _listing(_run(["unshare", "--net", "sh", "-c", script, nft, TABLE], ruleset, "try the list"))


def _listing(text: str) -> _Listing:
    found: list[dict[str, Any]] = json.loads(text)["nftables"]
    shape = [_lasting(one) for one in found if "metainfo" not in one]
    sets = [one["set"] for one in found if "set" in one]
    return _Listing(shape, {key: left for one in sets for key, left in _elements(one)})


def _lasting(one: dict[str, Any]) -> dict[str, Any]:
    """Without counts, handles and elements."""
    return {
        kind: {key: part for key, part in about.items() if key not in _PASSING and key != "elem"}
        for kind, about in one.items()
    }


def _elements(one: Mapping[str, Any]) -> Iterator[tuple[tuple[str, str], float]]:
    for element in one.get("elem", ()):
        about = element.get("elem") if isinstance(element, dict) else None
        value = about["val"] if about is not None else element
        left = about.get("expires") if about is not None else None
        yield (one["name"], json.dumps(value)), float("inf") if left is None else float(left)


def _run(argv: Sequence[str], text: str, what: str) -> str:
    try:
        done = subprocess.run(  # noqa: S603 - argv is ours, no shell
            argv, input=text, capture_output=True, text=True, timeout=TIMEOUT_S, check=False, env=_ENVIRONMENT
        )
    except FileNotFoundError as error:
        raise ToolError(f"{error.filename} is not installed: `apt-get install util-linux` gets it") from error
    if done.returncode != 0:
        raise ToolError(_explain(what, done.stderr))
    return done.stdout


def _explain(what: str, said: str) -> str:
    if os.geteuid() != 0:
        return f"can't {what}: this needs root (CAP_NET_ADMIN); nft said: {said.strip()}"
    return f"can't {what}: {said.strip()}"
