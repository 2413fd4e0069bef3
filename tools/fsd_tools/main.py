"""``fsdctl``: one command for people who make drives, campaigns and regions, and who look at what arrives.

Exit codes: 0 done, 1 failed, 2 wrong usage; for both a line ``fsdctl: error: ...`` on stderr. 130 interrupted.

Groups are imported when they are used, so that ``fsdctl --help`` answers at once.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence

try:
    import cyclopts
except ModuleNotFoundError as missing:  # a car's installation has the agent alone
    sys.exit(
        f"fsdctl: error: {missing.name} is not installed; fsdctl needs the extras: fsd-agent[tools,video]"
    )

import fsd_agent
from fsd_tools.errors import ToolError, UsageError

GROUPS = {
    "drive": "Generate, import and inspect recorded drives.",
    "campaign": "Check, push and backtest campaigns.",
    "catalogue": "Show a vehicle's signals; check the mapping that fills them.",
    "model": "Assemble and verify model packages.",
    "region": "Make a region, sign its policy and serve it.",
    "registry": "Make a registration authority.",
    "vehicle": "Enrol a vehicle with a region; read its status.",
    "clip": "Look into clips that arrived.",
    "audit": "Check a vehicle's ledger: where did every clip go?",
    "bench": "Figures against a peer in the same run.",
    "demo": "The main job, end to end: two regions, two vehicles.",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``argv`` (the process' own arguments by default) and return the exit code."""
    words = list(argv if argv is not None else sys.argv[1:])
    try:
        code = _app(words)(words, exit_on_error=False, print_error=False, result_action="return_value")
        sys.stdout.flush()
    except (cyclopts.CycloptsError, UsageError) as error:
        return _refuse(f"{error} See --help.", 2)
    except ToolError as error:
        return _refuse(str(error), 1)
    except BrokenPipeError:  # somebody reads no further, as in "fsdctl ... | head"
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except OSError as error:
        return _refuse(f"{error.filename or 'input or output'}: {error.strerror or error}", 1)
    except KeyboardInterrupt:
        print("fsdctl: interrupted", file=sys.stderr)
        return 130
    return code if isinstance(code, int) else 0


def _app(words: Sequence[str]) -> cyclopts.App:
    """All groups by name, and the one that ``words`` begin with whole."""
    app = cyclopts.App(
        name="fsdctl",
        version=fsd_agent.__version__,
        # Not Markdown, which takes the stars out of "store/*/*.mcap".
        help_format="plaintext",
        default_parameter=cyclopts.Parameter(negative=()),
        help="""Tools around the vehicle data agent.

        For example:

            fsdctl drive generate -o city.mcap        # render a city drive
            fsdctl drive info city.mcap               # what is inside
            fsdctl region init ./cn --id cn --jurisdiction CN
            fsdctl demo                               # the main job, end to end
        """,
    )
    for name, summary in GROUPS.items():
        module = f"fsd_tools.{name}.commands"
        if name in words[:1]:
            group = importlib.import_module(module).app
            app.command(group)
            if words[1:] in ([], *([flag] for flag in group.help_flags)):
                _import_all(group)
        else:
            app.command(f"{module}:app", name=name, help=summary)
    return app


def _import_all(group: cyclopts.App) -> None:
    """Its list of commands says what each does, which those that are imported when they are used can't."""
    for name in group:
        group[name]


def _refuse(message: str, code: int) -> int:
    print(f"fsdctl: error: {message}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
