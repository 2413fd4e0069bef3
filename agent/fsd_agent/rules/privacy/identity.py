"""Which signals name the vehicle, a person or what they carry: no rule and no consent lets one leave.

By the branches of VSS that are there for it, and by the words of a path, for makers name signals of their own: a path is split at dots,
underscores, numbers and capitals (``Vehicle.Private.PairedPhoneNumber``: vehicle, private, paired, phone, number). A word of :data:`WORDS` is
enough, or two of :data:`PAIRS` next to each other. That some signal which only sounds so stays behind is accepted.
"""

from __future__ import annotations

import re
from functools import cache
from itertools import pairwise
from typing import Final

_IDENTITY_BRANCH: Final = "Vehicle.VehicleIdentification."
_PERSON_BRANCH: Final = ".Identifier."
"""``Vehicle.Driver.Identifier`` and that of each occupant (VSS 4)."""
WORDS: Final = frozenset(
    {
        "vin",
        "fob",
        # Phones and modems
        "phone", "msisdn", "imei", "imeisv", "imsi", "iccid", "eid", "meid",
        # Networks and devices
        "ssid", "bssid", "mac", "uuid",
        # Persons
        "email", "username",
    }
)  # fmt: skip
PAIRS: Final = frozenset(
    {
        ("key", "id"), ("key", "number"), ("key", "serial"), ("key", "code"),
        ("license", "plate"), ("licence", "plate"), ("registration", "number"),
        ("serial", "number"), ("device", "id"), ("device", "name"), ("network", "name"),
        ("user", "id"), ("user", "name"), ("driver", "id"), ("driver", "name"), ("ip", "address"),
    }
)  # fmt: skip
_WORD: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")


@cache
def names_somebody(path: str) -> bool:
    """Whether the signal at this VSS path names the vehicle, a person or what they carry."""
    if path.startswith(_IDENTITY_BRANCH) or _PERSON_BRANCH in path:
        return True
    words = [word.lower() for word in _WORD.findall(path)]
    return not WORDS.isdisjoint(words) or not PAIRS.isdisjoint(pairwise(words))
