"""What the record of a redaction says of each source: how many frames it looked at, and from which scores its boxes counted.

The scores are those of :mod:`.counted`. A source that no other model of its table looked beside counted from ``MIN_SCORE`` on
everywhere, whatever the table says, and is recorded so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fsd_agent.records.redaction import ScoreRecord, SourceRecord
from fsd_agent.records.region import FaceRule, PlateRule, RedactionRules, Strictness
from fsd_agent.rules.privacy.counted import MIN_SCORE, SCORES, Shows
from fsd_agent.rules.privacy.zones import SHAPES
from fsd_firmware.samples import Detections


def sources_of(
    rules: RedactionRules, looks: Sequence[Detections], digests: Mapping[str, str]
) -> tuple[SourceRecord, ...]:
    """Every source of ``looks``, all cameras, in the order of their names; ``digests`` are those of the agent's own models."""
    frames: dict[str, int] = {}
    for one in looks:
        frames[one.source] = frames.get(one.source, 0) + one.frame_t_ns.size
    shown = _asked_for(rules)
    return tuple(
        SourceRecord(
            source,
            digests.get(source, ""),
            frames[source],
            tuple(_scores(source, list(frames), shows, rules.strictness) for shows in shown),
        )
        for source in sorted(frames)
    )


def _asked_for(rules: RedactionRules) -> list[Shows]:
    asked = []
    if rules.faces is not FaceRule.NONE:
        asked.append(Shows.HEAD)
    if rules.plates is not PlateRule.NONE:
        asked.append(Shows.PLATE)
    if rules.faces is not FaceRule.NONE and SHAPES[rules.strictness].riders:
        asked.append(Shows.RIDER)
    return asked


def _scores(source: str, sources: Sequence[str], shows: Shows, strictness: Strictness) -> ScoreRecord:
    table = SCORES[strictness][shows]
    name = _model(source)
    others = {_model(one) for one in sources} - {name}
    mine = table.get(name)
    if mine is None or not others & set(table):
        return ScoreRecord(shows.name.lower(), MIN_SCORE, MIN_SCORE)
    return ScoreRecord(shows.name.lower(), mine.alone, mine.confirmed)


def _model(source: str) -> str:
    """Its name, of ``name@version``."""
    return source.partition("@")[0]
