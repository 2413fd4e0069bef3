"""``fsd-agent``: the daemon's command line.

Exit codes: 0 done or stopped, 1 the configuration, a key or a folder can't be used, 2 wrong usage, 3 the firmware
source failed (what it gave before was kept, and delivered if there was time), 4 clips are left that could not be
delivered in time, or no campaign set arrived, 5 an internal loop failed (the log has the traceback; a supervisor
should restart the agent).
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

import fsd_agent
from fsd_agent.adapters.event_log import StreamEvents
from fsd_agent.daemon.agent import Ended, RunOptions
from fsd_agent.daemon.build import build_agent
from fsd_agent.daemon.config import ConfigError, load_config
from fsd_agent.daemon.parts import StartError

EXIT_OF = {
    Ended.DONE: 0,
    Ended.STOPPED: 0,
    Ended.SOURCE_FAILED: 3,
    Ended.UNDELIVERED: 4,
    Ended.LOOP_FAILED: 5,
    Ended.NO_CAMPAIGNS: 4,
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    arguments = _parser().parse_args(argv)
    logging.basicConfig(
        level=logging.DEBUG if arguments.verbose else logging.INFO,
        stream=sys.stderr,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )
    events = StreamEvents(sys.stdout, as_json=arguments.json)
    stop = threading.Event()  # from here on: recovery and models may take seconds, and SIGTERM may come then
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        config, base = load_config(Path(arguments.config))
        if arguments.command == "check":
            print(f"{arguments.config}: ok")  # noqa: T201 - the command's answer
            return 0
        agent = build_agent(config, base, events=events, speed=arguments.speed)
    except (ConfigError, StartError) as error:
        print(f"fsd-agent: error: {error}", file=sys.stderr)  # noqa: T201 - the command's answer
        return 1
    options = RunOptions(wait_for_campaigns_s=arguments.wait_for_campaigns, drain_s=arguments.drain)
    code = EXIT_OF[agent.run(stop, options)]
    if agent.left_behind:
        # Waiting for a native thread, or tearing the interpreter down under it, could hang or crash.
        logging.shutdown()
        os._exit(code)
    return code


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 <= seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds from 0 on")
    return seconds


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="fsd-agent",
        description="The agent on the vehicle's driving computer.",
        epilog="example: fsd-agent run --config agent.toml --speed max --drain 60",
    )
    parser.add_argument("--version", action="version", version=fsd_agent.__version__)
    commands = parser.add_subparsers(dest="command", required=True)
    check = commands.add_parser("check", help="check a configuration file and exit")
    run = commands.add_parser("run", help="run until the source ends or SIGTERM")
    for command in (check, run):
        command.add_argument("--config", required=True, metavar="FILE", help="agent.toml")
        command.add_argument("--verbose", action="store_true", help="log more")
        command.add_argument("--json", action="store_true", help="events as one JSON object a line")
    run.add_argument("--speed", choices=("real", "max"), help="of a replayed drive, over the configuration's")
    run.add_argument(
        "--wait-for-campaigns",
        type=_seconds,
        default=0.0,
        metavar="SECONDS",
        help="sense nothing before a campaign set is in force; give up after this long (benches)",
    )
    run.add_argument(
        "--drain",
        type=_seconds,
        default=60.0,
        metavar="SECONDS",
        help="after the source has ended, wait this long for everything to be delivered (default 60)",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
