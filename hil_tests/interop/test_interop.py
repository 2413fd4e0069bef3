"""One suite of the uplink for every broker. `make interop` runs it against all; `make test` against mosquitto, in short."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from fsd_agent.adapters.key_files import KeyFiles
from fsd_agent.pipeline.sent import MARKS_A_WRITE
from fsd_agent.ports.broker import Acked, Disconnected, Message
from fsd_agent.records.clip import ClipState
from fsd_agent.records.region import TransferProfile
from fsd_agent.wire.envelope import MAX_ENVELOPE_BYTES
from fsd_agent.wire.transfer import SEGMENT_BYTES, DownKind, Topics, campaigns_topic, receiver_subscription
from fsd_tools.errors import ToolError
from fsd_tools.region.broker import RECEIVER
from fsd_tools.region.operator import publish_retained, read_retained
from hil_tests.interop.bench import CAR, OTHER_CAR, REGION, WINDOW, Bench, drive, enrol, make_region
from hil_tests.interop.brokers import KINDS, Told, find

ALL = os.environ.get("FSD_INTEROP") == "all"
"""Every broker, in full; one that is missing is a failure."""
CLIP = "0123456789abcdef" * 2
QUIET_S = 1.0 if ALL else 0.2
"""Nothing more comes after this, on loopback."""


def open_bench(
    name: str, root: Path, transfer: TransferProfile = TransferProfile.VEHICLE_TOPICS
) -> contextlib.closing[Bench]:
    kind = KINDS[name]
    if not ALL and kind.traits.package != "mosquitto":
        try:
            find(kind.traits)
        except ToolError as error:
            pytest.skip(str(error))
        pytest.skip("`make interop` runs it")
    made = Bench(root, kind, transfer)
    made.broker.start()
    return contextlib.closing(made)


@pytest.fixture(params=KINDS)
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    with open_bench(request.param, tmp_path) as made:
        yield made


@pytest.fixture(params=KINDS)
def file_bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    """Clips go by the public file convention."""
    with open_bench(request.param, tmp_path, TransferProfile.FILE_ASYNC) as made:
        yield made


def test_a_vehicle_comes_in_by_its_certificate_and_a_stranger_does_not(bench: Bench, tmp_path: Path) -> None:
    with contextlib.closing(bench.vehicle()) as car:
        up = car.connect()
        assert up is not None, bench.broker.log_tail()
        assert up.mqtt == bench.broker.traits.version.label
        assert up.window <= WINDOW
        assert up.peer.identity_uri == bench.policy.identity_uri
    elsewhere = tmp_path / "elsewhere"
    make_region(elsewhere, 8883)
    enrol(elsewhere, CAR, tmp_path / "stranger")
    certificate, key = KeyFiles(tmp_path / "stranger").tls_certificate(REGION)
    with contextlib.closing(bench.client(CAR, certificate, key)) as stranger:
        assert stranger.connect() is None, "the right name, from another authority"


def test_clips_of_many_sizes_arrive_once_and_whole(bench: Bench) -> None:
    bench.receive()
    for size in (0, 1, SEGMENT_BYTES - 1000, 5 * SEGMENT_BYTES, 8_000_000 if ALL else 700_000):
        bench.add(size)
    deliverer = bench.deliverer()
    assert drive(deliverer, bench.delivered), f"{deliverer.stats()}\n{bench.broker.log_tail()}"
    deliverer.close()
    bench.check_store()
    assert not bench.told["damaged"]


def test_a_vehicle_that_dies_again_and_again_sends_little_twice(bench: Bench) -> None:
    """Each round is a new delivering loop on the same disk; the old one is dropped without a word."""
    bench.receive()
    clip = bench.add(12_000_000 if ALL else 3_000_000)
    rounds, sent_bytes = 6 if ALL else 3, 0
    for number in range(rounds + 1):
        deliverer = bench.deliverer()
        goal = len(bench.sent[clip]) * (number + 1) // (rounds + 2)

        def there(goal: int = goal) -> bool:
            part = bench.region.incoming / CAR / f"{clip}.have"
            return (part.read_bytes()[52:].count(1) if part.exists() else 0) * SEGMENT_BYTES >= goal

        assert drive(deliverer, bench.delivered if number == rounds else there), deliverer.stats()
        sent_bytes += sum(one.bytes for one in deliverer.stats().sent)
    bench.check_store()
    talk_bytes = (rounds + 1) * 8 * 1024
    assert sent_bytes <= len(bench.sent[clip]) + rounds * WINDOW * SEGMENT_BYTES + talk_bytes


def test_a_vehicle_can_neither_write_nor_read_what_is_anothers(bench: Bench) -> None:
    traits, theirs = bench.broker.traits, Topics(REGION, OTHER_CAR)
    listening = bench.client(
        RECEIVER, bench.region.receiver_cert, bench.region.receiver_key, receiver_subscription(REGION)
    )
    with contextlib.closing(listening), contextlib.closing(bench.vehicle()) as car:
        assert listening.connect() is not None
        assert car.connect() is not None
        token = car.publish(theirs.init(CLIP), b"in another's name")
        assert car.until(lambda: any(isinstance(event, Acked | Disconnected) for event in car.seen))
        (answer,) = [event for event in car.seen if isinstance(event, Acked) and event.token == token]
        assert bool(answer.refusal) is (traits.forbidden is Told.REFUSAL)
        car.until(lambda: any(isinstance(event, Disconnected) for event in car.seen), QUIET_S)
        assert any(isinstance(event, Disconnected) for event in car.seen) is traits.forbidden_cuts
        listening.until(lambda: False, QUIET_S)
        assert not [event for event in listening.seen if isinstance(event, Message)]
    for heard in (f"{theirs.base}down/#", receiver_subscription(REGION), "#"):
        with contextlib.closing(bench.vehicle(CAR, CAR, heard)) as spy:
            spy.connect()
            bench_publish(bench, theirs.down(DownKind.HAVE, CLIP), b"for another")
            spy.until(lambda: False, QUIET_S)
            assert not [event for event in spy.seen if isinstance(event, Message)], heard


def test_another_vehicles_client_id_gives_no_rights_to_write_nor_to_read(bench: Bench) -> None:
    """Its session waits with an answer; who comes in under its client id has another certificate."""
    theirs = Topics(REGION, OTHER_CAR)
    listening = bench.client(
        RECEIVER, bench.region.receiver_cert, bench.region.receiver_key, receiver_subscription(REGION)
    )
    with contextlib.closing(bench.vehicle(OTHER_CAR, OTHER_CAR, f"{theirs.base}down/#")) as owner:
        assert owner.connect() is not None
    bench_publish(bench, theirs.down(DownKind.HAVE, CLIP), b"for the owner")
    with contextlib.closing(listening), contextlib.closing(bench.vehicle(CAR, OTHER_CAR)) as posing:
        assert listening.connect() is not None
        connected = posing.connect() is not None
        assert connected is bench.broker.traits.takes_any_client_id
        if connected:
            posing.publish(theirs.init(CLIP), b"in another's name")
            posing.until(lambda: False, QUIET_S)
        listening.until(lambda: False, QUIET_S)
        assert not [event for event in listening.seen if isinstance(event, Message)]
        assert not [event for event in posing.seen if isinstance(event, Message)]


def bench_publish(bench: Bench, topic: str, payload: bytes) -> None:
    """As the receiver."""
    who = bench.client(RECEIVER, bench.region.receiver_cert, bench.region.receiver_key)
    with contextlib.closing(who):
        assert who.connect() is not None
        token = who.publish(topic, payload)
        assert who.hears(Acked(token))


def test_a_vehicle_whose_topics_the_broker_does_not_allow_keeps_its_clips_and_says_so(bench: Bench) -> None:
    """The certificate is another vehicle's: every publish is against the rules."""
    bench.receive()
    bench.add(1000)
    deliverer = bench.deliverer(KeyFiles(bench.root / OTHER_CAR))

    said = bench.broker.traits.forbidden_says
    assert drive(deliverer, lambda: said in deliverer.stats().trouble), (
        f"{deliverer.stats()}\n{bench.broker.log_tail()}"
    )
    deliverer.close()
    bench.check()
    assert len(bench.journal.clips({ClipState.SEALED})) == 1
    assert not bench.told["stored"]
    assert not list(bench.region.incoming.rglob("*.part"))


@pytest.mark.parametrize("how", ["stopped", "killed"] if ALL else ["stopped"])
def test_a_broker_that_is_started_again_in_the_middle_loses_nothing(bench: Bench, how: str) -> None:
    bench.receive()
    for _ in range(2):
        bench.add(2_000_000)
    deliverer = bench.deliverer()
    for clip in (0, 1)[: 2 if ALL else 1]:
        part = bench.region.incoming / CAR / f"{clip:032x}.part"
        drive(deliverer, part.exists)
        bench.broker.kill() if how == "killed" else bench.broker.stop()
        drive(deliverer, lambda: False, 0.2)
        bench.broker.start()
    assert drive(deliverer, bench.delivered), f"{deliverer.stats()}\n{bench.broker.log_tail()}"
    deliverer.close()
    bench.check_store()


def test_what_is_retained_waits_for_who_comes_later(bench: Bench) -> None:
    """Campaigns for the vehicle, and the vehicle's status for the operator; also over a restart, where Traits say so."""
    campaigns, payload = campaigns_topic(REGION), os.urandom(MAX_ENVELOPE_BYTES if ALL else 1_000_000)
    publish_retained(bench.region, bench.policy, campaigns, payload)
    with contextlib.closing(bench.vehicle()) as car:
        assert car.connect() is not None
        token = car.publish(bench.topics.status, b"status", retain=True)
        assert car.hears(Acked(token))
    for restarted in (False, True):
        expected = not restarted or bench.broker.traits.retained_survive
        if restarted:
            bench.broker.stop()
            bench.broker.start()
        with contextlib.closing(bench.vehicle(CAR, CAR, campaigns)) as car:
            assert car.connect() is not None
            wanted = Message(campaigns, payload, retained=True)
            assert car.hears(wanted, 20 if expected else QUIET_S) is expected, restarted
        kept = read_retained(bench.region, bench.policy, bench.topics.status)
        assert kept == ({bench.topics.status: b"status"} if expected else {}), restarted


def test_a_session_keeps_answers_for_a_vehicle_that_is_away(bench: Bench) -> None:
    """Also over a restart of the broker, where Traits say so."""
    down = f"{bench.topics.base}down/#"
    for restarted in (False, True):
        with contextlib.closing(bench.vehicle(CAR, CAR, down)) as car:
            assert car.connect() is not None
        topic, payload = bench.topics.down(DownKind.HAVE, CLIP), b"after %d" % restarted
        bench_publish(bench, topic, payload)
        if restarted:
            time.sleep(0.2)
            bench.broker.stop()
            bench.broker.start()
        with contextlib.closing(bench.vehicle(CAR, CAR, down)) as car:
            assert car.connect() is not None
            wanted = Message(topic, payload, retained=False)
            expected = not restarted or bench.broker.traits.sessions_survive
            assert car.hears(wanted, 20 if expected else QUIET_S) is expected, restarted


def test_clips_go_by_the_file_convention_where_its_topics_are_relayed(file_bench: Bench) -> None:
    """Where they are not, the clips stay, and the status says what the broker said."""
    bench = file_bench
    bench.receive()
    bench.add(1)
    deliverer = bench.deliverer()
    if not bench.broker.traits.dollar_topics:
        assert drive(deliverer, lambda: "the broker refused a publish" in deliverer.stats().trouble)
        deliverer.close()
        assert len(bench.journal.clips({ClipState.SEALED})) == 1
        return
    bench.add(8_000_000 if ALL else 1_500_000)
    assert drive(deliverer, bench.delivered), f"{deliverer.stats()}\n{bench.broker.log_tail()}"
    deliverer.close()
    bench.check_store()
    assert not list(bench.region.incoming_files.rglob("*.*"))


def test_a_vehicle_that_dies_goes_on_from_its_segment_journal(file_bench: Bench) -> None:
    """Nobody can be asked what there is."""
    bench = file_bench
    if not bench.broker.traits.dollar_topics:
        pytest.skip("the broker does not relay the convention's topics")
    bench.receive()
    clip = bench.add(12_000_000)
    rounds, sent_bytes = 4 if ALL else 2, 0
    for number in range(rounds + 1):
        deliverer = bench.deliverer()
        goal = len(bench.sent[clip]) * (number + 1) // (rounds + 2)

        def there(goal: int = goal) -> bool:
            parts = [path.read_bytes()[52:] for path in bench.region.incoming_files.rglob("*.have")]
            return sum(part.count(1) for part in parts) * SEGMENT_BYTES >= goal

        assert drive(deliverer, bench.delivered if number == rounds else there), deliverer.stats()
        sent_bytes += sum(one.bytes for one in deliverer.stats().sent)
    bench.check_store()
    assert sent_bytes <= len(bench.sent[clip]) + rounds * (WINDOW + MARKS_A_WRITE) * SEGMENT_BYTES + 100_000
