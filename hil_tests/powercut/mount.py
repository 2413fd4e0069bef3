"""A folder on a disk whose power can be cut: a process that mounts a file system (FUSE) over it.

    python -m hil_tests.powercut.mount FOLDER --leave AFTER [--stop-at N [--count operations|steps]] [--seed S]
                                              [--lie none|folders|commits] [--log FILE]

It takes up what is in FOLDER and serves it. At the N-th operation that changes or syncs something it stops: nothing is answered any
more, from that operation itself on. A signal says how it goes on (``terms.py``):

    GO_ON   as before; whoever had asked has been killed meanwhile, and the power has stayed on
    CUT     the power is cut, also where it has not stopped: it leaves what ``survive.py`` chooses by the seed, and ends
    END     an orderly end: it leaves everything, and ends

What is left goes to AFTER, a folder that is there and empty. Who writes to FOLDER must have been killed before CUT is sent, and
is free to die when this process is gone; FOLDER is to be unmounted then. Events, as JSON lines on stdout: ``ready``,
``stopped`` (at which operation), ``left`` (the operations there were, and what became of what was not certain).
"""

from __future__ import annotations

import argparse
import os
import signal
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from hil_tests.powercut.folder import load, save
from hil_tests.powercut.served import CuttableDisk, mount, tell
from hil_tests.powercut.survive import everything, survivors
from hil_tests.powercut.terms import CUT, END, GO_ON, Count, Lie


def main(argv: Sequence[str] | None = None) -> None:
    """Mount, and serve until a signal comes."""
    arguments = _parser().parse_args(argv)
    signal.pthread_sigmask(signal.SIG_BLOCK, {CUT, END, GO_ON})  # in all threads; one waits for them
    log = arguments.log.open("w", encoding="utf-8")
    served = CuttableDisk(
        load(arguments.folder),
        stop_at=arguments.stop_at,
        count=arguments.count,
        lie=arguments.lie,
        log=log,
    )
    threading.Thread(target=_end, args=(served, arguments, log), daemon=True).start()
    mount(served, arguments.folder)
    raise SystemExit("it was unmounted while it served")


def _end(served: CuttableDisk, arguments: argparse.Namespace, log: IO[str]) -> None:
    """Obey signals; at the last one take the disk out of service, and leave what is on the medium."""
    while (said := signal.sigwait({CUT, END, GO_ON})) == GO_ON:
        served.go_on.set()
    while not served.serving.acquire(timeout=0.01) and not served.stopped.is_set():
        pass
    left = everything(served.disk) if said == END else survivors(served.disk, arguments.seed)
    save(left, arguments.leave)
    log.close()
    tell("left", counts=served.counts, fate=left.fate)
    # At once: the kernel must find nobody here who could still answer.
    os._exit(0)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="mount", description="a disk whose power can be cut")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--leave", type=Path, required=True)
    parser.add_argument("--stop-at", type=int, default=0)
    parser.add_argument("--count", type=Count, choices=Count, default=Count.OPERATIONS)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--lie", type=Lie, choices=Lie, default=Lie.NONE)
    parser.add_argument("--log", type=Path, default=Path(os.devnull))
    return parser


if __name__ == "__main__":
    main()
