"""What a broker or a region that is broken or hostile does to a vehicle, over a real mosquitto: nothing lost, nothing erased."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from fsd_agent.adapters.key_files import read_private
from fsd_agent.pipeline.deliver import Deliverer
from fsd_agent.ports.broker import Acked, Message
from fsd_agent.records.clip import ClipState, Receipt
from fsd_agent.records.purpose import Purpose
from fsd_agent.records.region import TransferProfile
from fsd_agent.wire.receipt import encode_receipt, verify_receipt
from fsd_agent.wire.refusal import Refusal, RefusalReason, encode_refusal
from fsd_agent.wire.transfer import (
    MESSAGE_BYTES_MAX,
    RANGES_MAX,
    SEGMENT_BYTES,
    DownKind,
    Have,
    Init,
    Topics,
    decode,
    encode,
    receiver_subscription,
)
from fsd_tools.region.broker import RECEIVER
from hil_tests.interop.bench import CAR, OTHER_CAR, REGION, Bench, Client, drive
from hil_tests.interop.brokers import MosquittoProcess

QUIET_S = 0.3
GRID = SEGMENT_BYTES


def open_bench(root: Path, transfer: TransferProfile = TransferProfile.VEHICLE_TOPICS) -> Bench:
    return Bench(root, MosquittoProcess, transfer)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with contextlib.closing(open_bench(tmp_path)) as made:
        made.broker.start()
        yield made


def row_of(bench: Bench, clip: str) -> tuple[ClipState, bytes]:
    """State and hash, as the vehicle's journal has them."""
    row = bench.journal.clip(clip)
    assert row is not None
    return row.state, row.sha256


def check_kept(bench: Bench, clip: str) -> None:
    """It still waits, and its file is there and whole."""
    assert row_of(bench, clip)[0] is ClipState.SEALED
    assert bench.spool.region(REGION).read(Purpose.SAFETY, clip, 0, 1 << 30) == bench.sent[clip]


@pytest.mark.parametrize("transfer", TransferProfile)
def test_a_broker_that_acknowledges_and_forgets_loses_nothing(
    tmp_path: Path, transfer: TransferProfile
) -> None:
    """Mosquitto with a short queue says Success to all that it drops for a receiver that is away."""
    with contextlib.closing(open_bench(tmp_path, transfer)) as bench:
        conf = bench.region.broker_conf
        conf.write_text(
            conf.read_text().replace("max_queued_messages 0", "max_queued_messages 4") + "log_type all\n"
        )
        bench.broker.start()
        bench.receive()
        bench.add(20_000_000)  # So that much of it is still to come when the first of it has arrived
        deliverer = bench.deliverer()
        folder = bench.region.root / (
            "incoming" if transfer is TransferProfile.VEHICLE_TOPICS else "incoming_files"
        )
        assert drive(deliverer, lambda: bool(list(folder.rglob("*.part"))))
        bench.stop_receiving()
        before = deliverer.stats().acknowledged
        assert drive(deliverer, lambda: deliverer.stats().acknowledged > before + 10)
        assert "are being dropped for client receiver" in bench.broker.log_tail(10_000)
        check_kept(bench, f"{0:032x}")
        bench.receive()
        assert drive(deliverer, bench.delivered), deliverer.stats()
        deliverer.close()
        bench.check_store()


def test_a_receiver_that_dies_between_storing_and_signing_stores_once_and_signs_for_that(
    bench: Bench,
) -> None:
    argv = [sys.executable, "-m", "hil_tests.interop.dying_receiver", str(bench.region.root)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as dying:
        assert dying.stdout is not None
        assert dying.stdout.readline() == "ready\n"
        clip = bench.add(200_000)
        deliverer = bench.deliverer()
        assert drive(deliverer, lambda: dying.poll() is not None)
        assert dying.returncode == -signal.SIGKILL
    about = bench.region.store / CAR / f"{clip}.json"
    stored_wall_ns = json.loads(about.read_text())["stored_wall_ns"]
    drive(deliverer, lambda: False, QUIET_S)
    check_kept(bench, clip)
    bench.receive()
    assert drive(deliverer, bench.delivered), deliverer.stats()
    deliverer.close()
    assert not bench.told["stored"], "it was stored before, and is not again"
    assert json.loads(about.read_text())["stored_wall_ns"] == stored_wall_ns
    assert receipt_of(bench, clip).stored_wall_ns == stored_wall_ns


def receipt_of(bench: Bench, clip: str) -> Receipt:
    """What the region signs when it is asked again; verified."""
    _, sha256 = row_of(bench, clip)
    with contextlib.closing(bench.vehicle(CAR, CAR, bench.topics.down(DownKind.RECEIPT, clip))) as car:
        assert car.connect() is not None
        size = len(bench.sent[clip])
        init = Init(v=1, ask=1, size=size, sha256=sha256, segment_bytes=GRID)
        car.publish(bench.topics.init(clip), encode(init))
        assert car.until(lambda: any(isinstance(event, Message) for event in car.seen))
        (message,) = [event for event in car.seen if isinstance(event, Message)]
    keys = bench.policy.receipt_public_keys
    return verify_receipt(message.payload, keys, clip_id=clip, region_id=REGION, vehicle=CAR, sha256=sha256)


class Impostor:
    """Whoever has the receiver's certificate: hears what vehicles ask, and says what it likes."""

    def __init__(self, bench: Bench, answer: Callable[[str, Init], bytes | None]) -> None:
        self.client: Client = bench.client(
            RECEIVER, bench.region.receiver_cert, bench.region.receiver_key, receiver_subscription(REGION)
        )
        assert self.client.connect() is not None
        self.questions = 0
        self._answer = answer
        self._bench = bench

    def step(self) -> None:
        """Answer what has come."""
        self.client.until(lambda: bool(self.client.seen), 0.02)
        seen, self.client.seen = self.client.seen, []
        for event in seen:
            if not isinstance(event, Message) or "/up/seg/" in event.topic:
                continue
            self.questions += 1
            clip = event.topic.rpartition("/")[2]
            payload = self._answer(clip, decode(Init, event.payload))
            if payload is not None:
                self.client.publish(self._bench.topics.down(DownKind.HAVE, clip), payload)

    def drive(self, deliverer: Deliverer, until: Callable[[], bool], rounds: int = 400) -> bool:
        """Both in turn."""
        for _ in range(rounds):
            if until():
                return True
            deliverer.step(0.02)
            self.step()
        return until()


def have(init: Init, missing: object, **more: object) -> bytes:
    fields: dict[str, object] = {"v": 1, "ask": init.ask, "sha256": init.sha256, "missing": missing}
    return msgspec.msgpack.encode(fields | more)


HOSTILE: Mapping[str, Callable[[Init], bytes]] = {
    "overlapping": lambda init: have(init, [[0, 2 * GRID], [GRID, 3 * GRID]]),
    "huge": lambda init: have(init, [[0, 2**47]]),
    "beyond any number": lambda init: have(init, [[0, 2**63]]),
    "negative": lambda init: have(init, [[-GRID, GRID]]),
    "backwards": lambda init: have(init, [[2 * GRID, GRID]]),
    "off the grid": lambda init: have(init, [[1, 2]]),
    "of another clip": lambda init: have(init, [[0, GRID]], sha256=bytes(32)),
    "too many": lambda init: have(init, [[2 * n * GRID, (2 * n + 1) * GRID] for n in range(RANGES_MAX + 1)]),
    "too long": lambda init: have(init, []) + bytes(MESSAGE_BYTES_MAX),
    "of a newer version": lambda init: have(init, [], v=2),
    "with more in it": lambda init: have(init, [], more=1),
    "noise": lambda _init: b"\xff" * 100,
    "nothing": lambda _init: b"",
}


@pytest.fixture(scope="module")
def one_bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """For tests that leave their clips in the spool."""
    with contextlib.closing(open_bench(tmp_path_factory.mktemp("hostile"))) as made:
        made.broker.start()
        yield made


@pytest.mark.parametrize("what", HOSTILE)
def test_a_hostile_answer_is_counted_sends_nothing_and_loses_nothing(one_bench: Bench, what: str) -> None:
    bench = one_bench
    clip = bench.add(200_000)
    evil = Impostor(bench, lambda _clip, init: HOSTILE[what](init))
    deliverer = bench.deliverer()
    with contextlib.closing(evil.client), contextlib.closing(deliverer):
        assert evil.drive(deliverer, lambda: deliverer.stats().bad_answers > 0), deliverer.stats()
        evil.drive(deliverer, lambda: False, rounds=3)
        check_kept(bench, clip)
        sent = deliverer.stats().sent[0]
        assert sent.bytes < 200 * sent.messages, "questions, and no segment"


def test_an_answer_to_another_question_or_from_an_earlier_session_is_stale(one_bench: Bench) -> None:
    bench = one_bench
    clip = bench.add(200_000)
    evil = Impostor(bench, lambda _clip, init: have(init, [[0, GRID]], ask=(init.ask - 1) % 2**32))
    deliverer = bench.deliverer()
    with contextlib.closing(evil.client), contextlib.closing(deliverer):
        assert evil.drive(deliverer, lambda: deliverer.stats().stale_answers > 0), deliverer.stats()
        check_kept(bench, clip)


def test_a_receiver_that_never_has_enough_is_left_alone_longer_and_longer(bench: Bench) -> None:
    """It says that all is missing, to each question, for ever: each round costs the clip, and the rounds get rare."""
    clip = bench.add(100_000)
    evil = Impostor(
        bench,
        lambda _clip, init: encode(Have(v=1, ask=init.ask, sha256=init.sha256, missing=((0, init.size),))),
    )
    deliverer = bench.deliverer()
    with contextlib.closing(evil.client):
        assert evil.drive(deliverer, lambda: evil.questions >= 6), deliverer.stats()
    check_kept(bench, clip)
    sent = deliverer.stats().sent[0].bytes
    assert sent <= (evil.questions // 2 + 1) * (len(bench.sent[clip]) + 1000), "once for each two questions"
    bench.receive()
    assert drive(deliverer, bench.delivered), deliverer.stats()
    deliverer.close()
    bench.check_store()


def test_verdicts_for_anything_but_this_clip_are_counted_and_erase_nothing(bench: Bench) -> None:
    """All are rightly signed, by the region's own key; some are replays of what another clip was given."""
    first = bench.add(1000)
    bench.receive()
    deliverer = bench.deliverer()
    assert drive(deliverer, bench.delivered)
    bench.stop_receiving()
    second = bench.add(1000)
    _, sha256 = row_of(bench, second)
    key = read_private(bench.region.receipt_key, 32)
    right = Receipt(second, REGION, CAR, sha256, 1)
    refusal = Refusal(second, REGION, CAR, bytes(32), RefusalReason.NOT_A_CLIP, "another file")
    receipts = [
        replace(right, sha256=bytes(32)),
        replace(right, sha256=row_of(bench, first)[1]),
        replace(right, clip_id=first, sha256=row_of(bench, first)[1]),
        replace(right, vehicle=OTHER_CAR),
        replace(right, region_id="eu"),
    ]
    receipt_topic = bench.topics.down(DownKind.RECEIPT, second)
    said = [(receipt_topic, encode_receipt(one, key)) for one in receipts]
    good = encode_receipt(right, key)
    said += [
        (bench.topics.down(DownKind.REFUSE, second), encode_refusal(refusal, key)),
        (bench.topics.down(DownKind.REFUSE, second), good),
        (receipt_topic, encode_refusal(replace(refusal, sha256=sha256), key)),
        (receipt_topic, good[:-1] + bytes([good[-1] ^ 1])),
        (receipt_topic, b""),
    ]
    replayed = (
        bench.topics.down(DownKind.RECEIPT, first),
        encode_receipt(Receipt(first, REGION, CAR, row_of(bench, first)[1], 1), key),
    )
    who = bench.client(RECEIVER, bench.region.receiver_cert, bench.region.receiver_key)
    with contextlib.closing(who):
        assert who.connect() is not None
        drive(deliverer, lambda: deliverer.stats().waiting_clips == 1)
        for topic, payload in (*said, replayed):
            assert who.hears(Acked(who.publish(topic, payload)))
        other = Topics(REGION, OTHER_CAR).down(DownKind.RECEIPT, second)
        assert who.hears(Acked(who.publish(other, good)))
    # The last one is a receipt once more for what is gone.
    assert drive(deliverer, lambda: deliverer.stats().unknown_clips == 1), deliverer.stats()
    assert deliverer.stats().bad_receipts == len(said)
    check_kept(bench, second)
    bench.receive()
    assert drive(deliverer, bench.delivered), deliverer.stats()
    deliverer.close()
    bench.check_store()
