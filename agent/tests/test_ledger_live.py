"""The clips that a ledger's state holds, packed: the same as a dictionary of them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fsd_agent.records.ledger import LiveClip
from fsd_agent.records.purpose import Purpose
from fsd_agent.rules.audit.live import LiveClips

IDS = st.sampled_from([f"{number:032x}" for number in range(4)])
CLIPS = st.builds(
    LiveClip,
    clip_id=IDS,
    region_id=st.sampled_from(["cn", "eu"]),
    purpose=st.none() | st.sampled_from(Purpose),
    since=st.integers(0, 2**63 - 1),
    staged=st.booleans(),
    sealed=st.booleans(),
    redacted=st.booleans(),
    sent=st.booleans(),
    receipted=st.booleans(),
    dropped=st.sampled_from(["", "disk_full"]),
    vehicle=st.sampled_from(["", "car-1"]),
    sha256=st.sampled_from([b"", bytes(32)]),
)


@given(st.lists(CLIPS | IDS, max_size=12))
def test_they_are_what_was_put_and_not_removed(steps: list[LiveClip | str]) -> None:
    packed, plain = LiveClips(), dict[str, LiveClip]()
    for step in steps:
        if isinstance(step, LiveClip):
            packed.put(step)
            plain.pop(step.clip_id, None)
            plain[step.clip_id] = step
        else:
            packed.remove(step)
            plain.pop(step, None)
        assert [packed.get(f"{number:032x}") for number in range(4)] == [
            plain.get(f"{number:032x}") for number in range(4)
        ]
    assert (len(packed), list(packed)) == (len(plain), list(plain.values()))
    assert packed == LiveClips(plain.values())
    assert (packed == LiveClips()) is (not plain)
    assert packed != plain
