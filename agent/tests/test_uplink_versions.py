"""Which version of MQTT is spoken next: every row of the table, and that no answer leads to silence."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsd_agent.rules.uplink.versions import AGAIN_AFTER_CLOSE_NS, AGAIN_NS, Answer, MqttVersion, Versions
from fsd_agent.testing.regions import sample_region

HERE, THERE = (sample_region(port=port).policy.endpoints[0] for port in (8883, 8884))
V5, V311 = MqttVersion.V5, MqttVersion.V311


def test_five_is_spoken_first_and_stays_while_it_is_answered() -> None:
    versions = Versions()
    assert versions.next(HERE, 0) is V5
    versions.heard(HERE, V5, Answer.CONNECTED, 0)
    assert versions.next(HERE, 10 * AGAIN_NS) is V5


def test_a_broker_that_will_not_have_five_is_asked_in_3_1_1_next_and_others_are_not() -> None:
    for answer in (Answer.REFUSED_VERSION, Answer.CLOSED):
        versions = Versions()
        versions.heard(HERE, V5, answer, 7)
        assert versions.next(HERE, 7) is V311
        assert versions.next(HERE, 7 + 10 * AGAIN_NS) is V311, "it has not been tried yet"
        assert versions.next(THERE, 7) is V5


@pytest.mark.parametrize(
    ("answer", "for_ns"), [(Answer.REFUSED_VERSION, AGAIN_NS), (Answer.CLOSED, AGAIN_AFTER_CLOSE_NS)]
)
def test_3_1_1_is_remembered_for_a_time_once_it_was_taken(answer: Answer, for_ns: int) -> None:
    versions = Versions()
    versions.heard(HERE, V5, answer, 0)
    versions.heard(HERE, V311, Answer.CONNECTED, 5)
    assert versions.next(HERE, 5 + for_ns - 1) is V311
    versions.heard(HERE, V311, Answer.CONNECTED, 6)
    assert versions.next(HERE, 5 + for_ns) is V311, "from the newest connection on"
    assert versions.next(HERE, 6 + for_ns) is V5
    assert versions.next(HERE, 6 + for_ns) is V5, "until it is refused again"


def test_a_broker_that_takes_neither_is_asked_in_both_in_turn() -> None:
    for answer in (Answer.REFUSED_VERSION, Answer.CLOSED):
        versions = Versions()
        spoken = []
        for _ in range(4):
            spoken.append(versions.next(HERE, 0))
            versions.heard(HERE, spoken[-1], answer, 0)
        assert spoken == [V5, V311, V5, V311]


def test_one_version_alone_is_kept_to() -> None:
    for only in (V5, V311):
        versions = Versions(only)
        for answer in Answer:
            versions.heard(HERE, only, answer, 0)
            assert versions.next(HERE, 0) is only


def test_what_is_on_the_wire_and_what_people_read() -> None:
    assert [(one.value, one.label) for one in MqttVersion] == [(4, "3.1.1"), (5, "5")]
    assert list(Answer) == ["connected", "refused_version", "closed"]
    assert (AGAIN_NS, AGAIN_AFTER_CLOSE_NS) == (86_400_000_000_000, 600_000_000_000)


@given(st.lists(st.tuples(st.sampled_from([HERE, THERE]), st.sampled_from(Answer), st.integers(0, AGAIN_NS))))
def test_a_broker_that_speaks_either_alone_is_reached_at_the_second_attempt(history: list[tuple]) -> None:  # type: ignore[type-arg]
    """Whatever was heard before."""
    for speaks in (V5, V311):
        versions, now = Versions(), 0
        for endpoint, answer, wait in history:
            now += wait
            versions.heard(endpoint, versions.next(endpoint, now), answer, now)
        tried = []
        while len(tried) < 2 and (not tried or tried[-1] is not speaks):
            tried.append(versions.next(HERE, now))
            taken = Answer.CONNECTED if tried[-1] is speaks else Answer.REFUSED_VERSION
            versions.heard(HERE, tried[-1], taken, now)
        assert tried[-1] is speaks
