"""How property tests search: anew at every run by a person, the same examples in CI and under `make mutation`.

No deadlines: on a shared machine the slowest example says nothing.
"""

from __future__ import annotations

import os
import signal

from hypothesis import Phase, settings

# A shell that starts something in the background has it ignore SIGINT, and what that starts inherits it: then nothing
# that is to be ended as by a person would end.
signal.signal(signal.SIGINT, signal.default_int_handler)

settings.register_profile("search", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.register_profile(
    "mutation", deadline=None, derandomize=True, phases=[Phase.explicit, Phase.generate]
)
settings.load_profile("ci" if os.environ.get("CI") else "search")
