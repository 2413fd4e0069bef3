"""A ledger across rotations of the device key: who signs where, and what a record that hands over is worth."""

from __future__ import annotations

from pathlib import Path

import pytest

from fsd_agent.adapters.ledger_disk import segment_paths
from fsd_agent.adapters.ledger_files import LedgerFiles
from fsd_agent.ports.ledger import LedgerError
from fsd_agent.records.ledger import Fact, KeyRotated, Started
from fsd_agent.rules.audit.chain import Examined, examine
from fsd_agent.rules.audit.findings import FindingKind
from fsd_agent.rules.audit.keys import Signature, key_findings
from fsd_agent.rules.audit.writer import LEDGER_LIMITS, LedgerLimits
from fsd_agent.testing.clock import ManualClock
from fsd_agent.testing.decisions import Decisions, clip_id_of
from fsd_agent.testing.events import RememberedEvents
from fsd_agent.testing.regions import sample_region
from fsd_agent.testing.vehicle_keys import MemoryVehicleKeys
from fsd_agent.wire.ledger_file import read_segment

FIRST = MemoryVehicleKeys()
SECOND = FIRST.rotate("second")
THIRD = SECOND.rotate("third")
STRANGER = MemoryVehicleKeys("stranger")
DO = Decisions(sample_region("cn"))
SMALL = LedgerLimits(segment_bytes=2000)


def run(folder: Path, keys: MemoryVehicleKeys, clip: int, limits: LedgerLimits = LEDGER_LIMITS) -> None:
    """One start of the agent."""
    ledger = LedgerFiles(folder, keys=keys, clock=ManualClock(), events=RememberedEvents(), limits=limits)
    ledger.append(*DO.life(clip_id_of(clip)))
    ledger.close()


def audited(folder: Path, *known: MemoryVehicleKeys) -> Examined:
    segments = [(path.name, read_segment(path.read_bytes())) for path in segment_paths(folder)]
    return examine(segments, {keys.device_key_id(): keys.device_public_key for keys in known})


def facts(found: Examined) -> list[Fact]:
    return [located.entry.fact for located in found.records]


@pytest.mark.parametrize("limits", [LEDGER_LIMITS, SMALL])
def test_whoever_knows_the_first_key_can_audit_all_of_it(tmp_path: Path, limits: LedgerLimits) -> None:
    for number, keys in enumerate((FIRST, FIRST, SECOND, SECOND, THIRD)):
        run(tmp_path, keys, number, limits)
    found = audited(tmp_path, FIRST)
    assert not found.findings
    assert found.intact
    handed = [fact for fact in facts(found) if isinstance(fact, KeyRotated)]
    assert [(one.old_key_id, one.new_key_id) for one in handed] == [
        (FIRST.device_key_id(), SECOND.device_key_id()),
        (SECOND.device_key_id(), THIRD.device_key_id()),
    ]
    assert set(found.keys) == {keys.device_key_id() for keys in (FIRST, SECOND, THIRD)}
    starts = [fact.device_key_id for fact in facts(found) if isinstance(fact, Started)]
    assert starts == [keys.device_key_id() for keys in (FIRST, FIRST, SECOND, SECOND, THIRD)]


def test_a_stolen_former_key_hands_over_to_nobody_new(tmp_path: Path) -> None:
    """The region has the second key after the first; the thief of the first signs a statement for his own."""
    run(tmp_path, FIRST, 1)
    run(tmp_path, FIRST.rotate("thief"), 2)
    assert not audited(tmp_path, FIRST).findings, "who knows the first key alone can't tell"
    segments = [(path.name, read_segment(path.read_bytes())) for path in segment_paths(tmp_path)]
    known = {keys.device_key_id(): keys.device_public_key for keys in (FIRST, SECOND)}
    found = examine(segments, known, former={FIRST.device_key_id()})
    assert {one.kind for one in found.findings} == {FindingKind.BAD_SIGNATURE}


def test_two_rotations_between_two_starts_are_two_records(tmp_path: Path) -> None:
    run(tmp_path, FIRST, 1)
    run(tmp_path, THIRD, 2)
    found = audited(tmp_path, FIRST)
    assert not found.findings
    assert [type(fact) for fact in facts(found)].count(KeyRotated) == 2


def test_a_stop_after_the_record_and_before_a_signature_records_it_once(tmp_path: Path) -> None:
    run(tmp_path, FIRST, 1)
    ledger = LedgerFiles(tmp_path, keys=SECOND, clock=ManualClock(), events=RememberedEvents())
    ledger.sync()
    del ledger  # killed: nothing of the new key stands in it yet
    run(tmp_path, SECOND, 2)
    found = audited(tmp_path, FIRST)
    assert not found.findings
    assert [type(fact) for fact in facts(found)].count(KeyRotated) == 1


def test_another_key_without_a_statement_is_found_also_where_it_is_known(tmp_path: Path) -> None:
    run(tmp_path, FIRST, 1)
    run(tmp_path, STRANGER, 2)
    assert {one.kind for one in audited(tmp_path, FIRST).findings} == {FindingKind.BAD_SIGNATURE}
    (finding, *_) = audited(tmp_path, FIRST, STRANGER).findings
    assert finding.kind is FindingKind.BAD_SIGNATURE
    assert "no record hands over" in finding.detail


def test_the_key_before_signs_nothing_any_more(tmp_path: Path) -> None:
    run(tmp_path, FIRST, 1)
    run(tmp_path, SECOND, 2)
    run(tmp_path, FIRST, 3)
    findings = audited(tmp_path, FIRST).findings
    assert {one.kind for one in findings} == {FindingKind.BAD_SIGNATURE}
    assert all(f"signed by device key {FIRST.device_key_id()}" in one.detail for one in findings)


def test_records_that_hand_over_wrongly() -> None:
    good = SECOND.rotations()[0]
    first, second, third = (keys.device_key_id() for keys in (FIRST, SECOND, THIRD))
    record = KeyRotated(first, second, good.data)
    assert list(key_findings([("f", 4, record)], [], first)) == []
    for wrong, why in (
        (KeyRotated(first, third, good.data), "its statement leads from"),
        (KeyRotated(first, second, good.data[:-1]), "its statement: not a rotation statement"),
        (KeyRotated(second, third, THIRD.rotations()[1].data), f"the ledger was signed by {first}"),
    ):
        (finding,) = key_findings([("f", 4, wrong)], [], first)
        assert (finding.kind, finding.number) == (FindingKind.BAD_SIGNATURE, 4)
        assert why in finding.detail


@pytest.mark.parametrize(
    ("size", "allowed"),
    [(4, "first"), (5, "second third"), (6, "third"), (9, "third")],
)
def test_every_signature_is_by_the_key_of_its_place(size: int, allowed: str) -> None:
    """Two records that hand over, numbers 4 and 5: between them the device has the last key alone."""
    rotations = [
        ("f", 4 + at, KeyRotated(one.old_key_id, one.new_key_id, one.data))
        for at, one in enumerate(THIRD.rotations())
    ]
    names = {"first": FIRST, "second": SECOND, "third": THIRD}
    for name, keys in names.items():
        said = list(
            key_findings(rotations, [Signature("f", size, keys.device_key_id())], FIRST.device_key_id())
        )
        assert (not said) is (name in allowed.split()), name


def test_a_ledger_that_can_not_be_signed_records_nothing_and_goes_on_later(tmp_path: Path) -> None:
    keys = MemoryVehicleKeys()
    ledger = LedgerFiles(tmp_path, keys=keys, clock=ManualClock(), events=RememberedEvents())
    keys.away = True
    with pytest.raises(LedgerError, match="can't be signed: the token is not there"):
        ledger.head()
    lives = [fact for number in range(20) for fact in DO.life(clip_id_of(number))]
    with pytest.raises(LedgerError, match="can't be signed"):
        ledger.append(*lives)  # more than go without a signature
    keys.away = False
    ledger.append(*DO.life(clip_id_of(99)))
    ledger.close()
    assert not audited(tmp_path, keys).findings
