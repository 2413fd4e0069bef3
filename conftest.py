"""How property tests search, and where tests write.

Property tests search anew at every run by a person, and try the same examples in CI and under `make mutation`. No deadlines: on
a shared machine the slowest example says nothing.

Temporary folders are in memory where there is plenty, unless TMPDIR says otherwise: the suite syncs some ten thousand times. Who
is killed loses nothing by it, on whatever disk. What a power cut does is shown by ``hil_tests/powercut``, whose disk is ours.
"""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from pathlib import Path

from hypothesis import Phase, settings

# A shell that starts something in the background has it ignore SIGINT, and what that starts inherits it: then nothing
# that is to be ended as by a person would end.
signal.signal(signal.SIGINT, signal.default_int_handler)

MEMORY = Path("/dev/shm")  # noqa: S108 - a folder in it is made by pytest, for this user alone
PLENTY_BYTES = 6 << 30
"""Three runs of everything are kept, at most; a container's usual 64 MB are not enough for one."""


def roomy(folder: Path) -> bool:
    """Whether tests may write there; half as much memory must be left for the rest."""
    if not (folder.is_dir() and os.access(folder, os.W_OK)) or shutil.disk_usage(folder).free < PLENTY_BYTES:
        return False
    return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") > PLENTY_BYTES // 2


if "TMPDIR" not in os.environ and roomy(MEMORY):
    os.environ["TMPDIR"] = str(MEMORY)
    tempfile.tempdir = None  # forget what was asked for before

settings.register_profile("search", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.register_profile(
    "mutation", deadline=None, derandomize=True, phases=[Phase.explicit, Phase.generate]
)
settings.load_profile("ci" if os.environ.get("CI") else "search")
