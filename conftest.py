"""How property tests search: anew at every run by a person, the same examples in CI and under `make mutation`.

No deadlines: on a shared machine the slowest example says nothing.
"""

from __future__ import annotations

import os

from hypothesis import Phase, settings

settings.register_profile("search", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.register_profile(
    "mutation", deadline=None, derandomize=True, phases=[Phase.explicit, Phase.generate]
)
settings.load_profile("ci" if os.environ.get("CI") else "search")
