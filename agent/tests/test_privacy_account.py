"""What the record says of those who looked."""

from __future__ import annotations

from dataclasses import replace

from fsd_agent.records.redaction import ScoreRecord, SourceRecord
from fsd_agent.records.region import FaceRule, LocationRule, PlateRule, RedactionRules, Strictness
from fsd_agent.rules.privacy.account import sources_of
from fsd_agent.rules.privacy.counted import MIN_SCORE, SCORES, Shows
from fsd_agent.testing.streams import looks

RULES = RedactionRules(FaceRule.HEAD_ZONE, PlateRule.PLATE_BAND, 0, 1, LocationRule.DROP, 0.05)
STRICT = replace(RULES, strictness=Strictness.STRICT)
FIRST, SECOND, OTHER = "nanodet-m-416-int8@2022.11", "fastestdet-352@2022.7", "unheard-of@1"
BOX = (0.0, 0.0, 1.0, 1.0)


def seen(source: str, frames: int, camera: str = "front"):  # noqa: ANN201 - of the helper's own type
    return looks(camera, source, [(n, [(1, 0.9, BOX)]) for n in range(frames)])


def scores_of(record: SourceRecord) -> dict[str, tuple[float, float]]:
    return {one.shows: (one.alone, one.confirmed) for one in record.scores}


def table(strictness: Strictness, shows: Shows, model: str) -> tuple[float, float]:
    scores = SCORES[strictness][shows][model.partition("@")[0]]
    return scores.alone, scores.confirmed


def test_sources_come_by_name_with_their_looks_of_all_cameras_and_their_package() -> None:
    got = sources_of(RULES, [seen(FIRST, 3), seen("firmware", 5), seen(FIRST, 4, "rear")], {FIRST: "ab" * 32})
    assert [(one.source, one.looks, one.digest) for one in got] == [
        ("firmware", 5, ""),
        (FIRST, 7, "ab" * 32),
    ]
    assert sources_of(RULES, [], {FIRST: "ab" * 32}) == ()


def test_a_model_beside_another_of_the_table_counted_by_the_table() -> None:
    second, first = sources_of(RULES, [seen(FIRST, 1), seen(SECOND, 1)], {})
    assert (second.source, first.source) == (SECOND, FIRST)
    for record in (first, second):
        assert scores_of(record) == {
            "head": table(Strictness.STANDARD, Shows.HEAD, record.source),
            "plate": table(Strictness.STANDARD, Shows.PLATE, record.source),
        }


def test_a_model_alone_or_beside_one_that_is_not_in_the_table_counted_from_the_lowest_score() -> None:
    plain = {"head": (MIN_SCORE, MIN_SCORE), "plate": (MIN_SCORE, MIN_SCORE)}
    for others in ([], [seen("firmware", 1)], [seen(OTHER, 1)], [seen("nanodet-m-416-int8@2023.1", 1)]):
        by_name = {one.source: one for one in sources_of(RULES, [seen(FIRST, 1), *others], {})}
        assert all(scores_of(one) == plain for one in by_name.values())


def test_firmware_and_a_model_that_is_not_in_the_table_count_so_beside_two_of_it() -> None:
    got = sources_of(RULES, [seen(FIRST, 1), seen(SECOND, 1), seen("firmware", 1), seen(OTHER, 1)], {})
    for one in got:
        if one.source in {"firmware", OTHER}:
            assert set(scores_of(one).values()) == {(MIN_SCORE, MIN_SCORE)}


def test_strict_rules_ask_for_riders_too() -> None:
    second, first = sources_of(STRICT, [seen(FIRST, 1), seen(SECOND, 1)], {})
    for record in (first, second):
        assert scores_of(record) == {
            shows.name.lower(): table(Strictness.STRICT, shows, record.source) for shows in Shows
        }


def test_what_the_rules_do_not_ask_for_is_not_in_the_record() -> None:
    for rules, names in (
        (replace(STRICT, faces=FaceRule.NONE), ["plate"]),
        (replace(STRICT, plates=PlateRule.NONE), ["head", "rider"]),
        (replace(RULES, plates=PlateRule.NONE), ["head"]),
        (replace(STRICT, faces=FaceRule.NONE, plates=PlateRule.NONE), []),
    ):
        (record,) = sources_of(rules, [seen("firmware", 1)], {})
        assert [one.shows for one in record.scores] == names
        assert record.scores == tuple(ScoreRecord(name, MIN_SCORE, MIN_SCORE) for name in names)


def test_a_source_without_a_version_is_the_model_of_its_name() -> None:
    bare = [seen(source.partition("@")[0], 1) for source in (FIRST, SECOND)]
    for record in sources_of(RULES, bare, {}):
        assert scores_of(record)["head"] == table(Strictness.STANDARD, Shows.HEAD, record.source)
