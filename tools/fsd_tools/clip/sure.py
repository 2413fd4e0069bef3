"""How sure a redaction is: the share of heads and plate bands that its combination of models and strictness covered when it was measured.

Measured means: by ``fsdctl bench redact`` on street pictures, persons and cars of at least 60 pixels. The figures are those of
docs/privacy.md, "What it covers, and what it fills", which says what they are worth; a test compares both. Every other
combination is unmeasured, and firmware's detections alone always are: nobody knows what they miss.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

WHERE: Final = 'docs/privacy.md, "What it covers, and what it fills"'
_FIRST, _SECOND = "nanodet-m-416-int8", "fastestdet-352"
_FIRMWARE = "firmware"
_STRICTNESS = "strictness="


@dataclass(frozen=True, slots=True)
class Coverage:
    """Percent of those there were."""

    heads: float
    plates: float


MEASURED: Final[Mapping[tuple[frozenset[str], str], Coverage]] = {
    (frozenset({_FIRST, _SECOND}), "standard"): Coverage(94.6, 92.3),
    (frozenset({_FIRST, _SECOND}), "strict"): Coverage(98.9, 95.0),
    (frozenset({_FIRST}), "standard"): Coverage(92.4, 93.6),
}
"""By names of models, without versions, and strictness."""


def coverage(sources: Sequence[str], rules: Sequence[str]) -> Coverage | None:
    """None where nobody measured it. Firmware beside models only adds boxes, and does not count."""
    models = frozenset(source.partition("@")[0] for source in sources if source != _FIRMWARE)
    strictness = [rule.removeprefix(_STRICTNESS) for rule in rules if rule.startswith(_STRICTNESS)]
    return MEASURED.get((models, strictness[0])) if len(strictness) == 1 else None


def sure_in_words(sources: Sequence[str], rules: Sequence[str]) -> str:
    """One sentence."""
    known = coverage(sources, rules)
    if known is not None:
        return f"{known.heads:g} % of heads and {known.plates:g} % of plate bands from 60 pixels on were covered where it was measured ({WHERE})"
    if set(sources) <= {_FIRMWARE}:
        return "unmeasured: firmware's detections alone"
    return "unmeasured: this combination of models and strictness"
