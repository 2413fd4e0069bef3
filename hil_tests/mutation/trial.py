"""One mutant on trial: a fork of this process in which one module has another source, and its tests run there.

A child starts with every foreign library imported and none of our own modules, so that all who import the mutated module
meet the mutant, also what it does while it is imported. Nothing is written to the tree. Tests run until the first
failure, likely ones first; hypothesis draws the same examples every time and does not shrink what it finds.

A mutant is killed by a failing test, by an error while its module is imported, by a crash, and by taking many times as
much processor time as the tests take without it: on a busy machine the time on the wall says little.
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import json
import os
import resource
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import CodeType, ModuleType
from typing import Any

import pytest

MEMORY_BYTES = 6 << 30
"""Of address space: an endless list ends the child and not the machine."""
_FOREIGN = (
    "hypothesis.strategies", "numpy", "msgspec", "cryptography.x509", "cryptography.hazmat.primitives.asymmetric.ed25519",
    "cryptography.hazmat.primitives.asymmetric.x25519", "cryptography.hazmat.primitives.hpke",
    "cryptography.hazmat.primitives.serialization", "cryptography.hazmat.backends.openssl", "numpy.random", "pdb",
    "unittest.mock", "xml.etree.ElementTree", "sqlite3", "tomllib",
)  # fmt: skip
_TOO_LONG = frozenset({signal.SIGXCPU, signal.SIGKILL})
"""By the kernel at the limit; by :func:`stop`."""
_ARGUMENTS = (
    "-x", "-q", "--tb=no", "-p", "no:cacheprovider", "-o", "timeout=0", "--hypothesis-profile=mutation",
    "-W", "ignore::pytest.PytestAssertRewriteWarning",  # plugins that were imported before the fork
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Trial:
    """What a child is told."""

    module: str
    source: bytes
    tests: Sequence[str]
    first: Mapping[str, float]
    """Tests in rising order of these numbers: the likely ones, then the quick ones."""
    limit_s: int
    """Processor time."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a trial ended."""

    killed: bool
    by: str
    """The test that failed; or ``import``, ``crash``, ``time``."""
    seconds: Mapping[str, float]
    """Of each test that ran."""


def warm_up() -> None:
    """Import what every child needs, and whatever is missing here will be missing there."""
    for name in _FOREIGN:
        importlib.import_module(name)


def start(trial: Trial) -> tuple[int, int]:
    """Fork a child; its process id, and the end of a pipe that says what came of it."""
    read, write = os.pipe()
    pid = os.fork()
    if pid:
        os.close(write)
        return pid, read
    code = 1
    try:
        os.setsid()
        os.close(read)
        _be_ordinary()
        _silence()
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
        resource.setrlimit(resource.RLIMIT_CPU, (trial.limit_s, trial.limit_s))
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.write(write, json.dumps(_run(trial)).encode())
        code = 0
    except BaseException as error:  # noqa: BLE001 - the process ends here, and says of what
        os.write(write, json.dumps({"killed": True, "by": f"crash: {error!r}"[:400], "seconds": {}}).encode())
    finally:
        os._exit(code)


def verdict_of(said: bytes, status: int) -> Verdict:
    """What a child said before its end, and how it ended (as of ``os.waitpid``)."""
    if not said:
        late = os.WIFSIGNALED(status) and os.WTERMSIG(status) in _TOO_LONG
        return Verdict(killed=True, by="time" if late else "crash", seconds={})
    found = json.loads(said)
    return Verdict(found["killed"], found["by"], found["seconds"])


def stop(pid: int) -> None:
    """End a child and what it started: it leads a session of its own."""
    os.killpg(pid, signal.SIGKILL)


def _be_ordinary() -> None:
    """Not in real time, and after the process that watches.

    Who started this may run in real time: the video encoder does that to its caller, where it may. An endless mutant
    would then keep the processor from everybody, also from the process that is to end it.
    """
    os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    os.nice(1)


def _silence() -> None:
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nowhere, stream)


def _run(trial: Trial) -> dict[str, Any]:
    sys.meta_path.insert(0, _Finder(trial.module, trial.source))
    watch = _Watch(trial.first)
    code = pytest.main([*_ARGUMENTS, *trial.tests], plugins=[watch])
    if code == pytest.ExitCode.OK:
        return {"killed": False, "by": "", "seconds": watch.seconds}
    return {"killed": True, "by": watch.failed or "import", "seconds": watch.seconds}


class _Loader(importlib.machinery.SourceFileLoader):
    """Loads a module from its own file, and reads the mutant there."""

    def __init__(self, fullname: str, file: str, source: bytes) -> None:
        super().__init__(fullname, file)
        self._mutant = source

    def get_code(self, fullname: str) -> CodeType:
        """Never from a cache, and never into one."""
        return compile(self._mutant, self.path, "exec", dont_inherit=True)


class _Finder(importlib.abc.MetaPathFinder):
    """Finds the mutated module, and no other."""

    def __init__(self, module: str, source: bytes) -> None:
        self._module, self._source = module, source

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Where it lies, with the mutant in it."""
        if fullname != self._module:
            return None
        found = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        assert found is not None
        assert found.origin is not None
        loader = _Loader(fullname, found.origin, self._source)
        return importlib.util.spec_from_file_location(fullname, found.origin, loader=loader)


class _Watch:
    """Orders the tests, and notes how long each took and which failed."""

    def __init__(self, first: Mapping[str, float]) -> None:
        self._first = first
        self.seconds: dict[str, float] = {}
        self.failed = ""

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Unknown tests last; the order among equals stays."""
        items.sort(key=lambda item: self._first.get(item.nodeid, 1e9))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Set-up, call and tear-down of a test are added up."""
        self.seconds[report.nodeid] = self.seconds.get(report.nodeid, 0.0) + report.duration
        if report.failed and not self.failed:
            self.failed = report.nodeid
