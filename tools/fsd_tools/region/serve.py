"""``fsdctl region serve``: the region's broker and its one receiver, until told to stop.

What happens is printed as it happens: text for people, or one JSON object a line: ``ready``, ``received`` (bytes since
the last one, per vehicle), ``stored``, ``firing``, ``refused``, ``held``, ``ignored``, ``damaged``, ``ledger_break``, ``expired``,
``retention_failed``, ``disconnected``, ``stopped``; with ``--check`` ``released``, ``quarantined``, ``check_failed``.

One receiver, because a clip's segments must all reach the same one. Its session outlives it, so the broker keeps what
vehicles send while it restarts; what the broker drops anyway is asked for again by the protocol.
"""

from __future__ import annotations

import random
import signal
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import msgspec
from cyclopts import Parameter

from fsd_agent.adapters.key_files import KeyFileError
from fsd_agent.adapters.mqtt_dial import Dial
from fsd_agent.adapters.mqtt_link import MqttLink, MqttOptions
from fsd_agent.ports.broker import Acked, BrokerEvent, Connected, Disconnected, Message
from fsd_agent.records.region import RegionPolicy, TransferProfile
from fsd_agent.rules.uplink.backoff import BackoffPolicy, delay_ns
from fsd_agent.wire.file_async import SUBSCRIPTION
from fsd_agent.wire.policy import PolicyError
from fsd_tools.errors import ToolError
from fsd_tools.region.broker import RECEIVER, receiver_subscriptions
from fsd_tools.region.check import open_checkers
from fsd_tools.region.layout import RegionDir
from fsd_tools.region.mosquitto import Mosquitto
from fsd_tools.region.operator import dial_as, load_policy
from fsd_tools.region.receiver import OnEvent, Receiver
from fsd_tools.region.release import Releaser
from fsd_tools.region.retention import Keeper

OPTIONS = MqttOptions(window=64, session_expiry_s=7 * 86_400, inbound_bytes=1 << 20, inbound_messages=64)
"""A week: longer than any restart. 64 messages of 64 KiB are 4 MiB of memory."""
ANSWERS_MAX = 4096
"""Answers that wait for the broker; beyond, the oldest is dropped: its vehicle asks again."""
RETRY = BackoffPolicy(first_ns=200_000_000, most_ns=5_000_000_000)
REPORT_S = 0.25
"""Between ``received`` events of one vehicle."""


class Runner:
    """Carries messages between the broker and the receiver."""

    def __init__(self, link: MqttLink, dial: Callable[[], Dial], receiver: Receiver, tell: OnEvent) -> None:
        self._link = link
        self._dial = dial
        self._receiver = receiver
        self._tell = tell
        self._room = 0
        self._answers: deque[tuple[str, bytes]] = deque()
        self._received: Counter[str] = Counter()
        self._reported_s = 0.0
        self._attempt = 0
        self._ready = False

    def run(self, stop: threading.Event, check: Callable[[], None]) -> None:
        """Until ``stop`` is set; ``check`` is called about once a second and may raise."""
        self._link.connect(self._dial())
        try:
            while not stop.is_set():
                for event in self._link.events(REPORT_S):
                    self._on_event(event, stop)
                self._flush()
                self._report()
                check()
        finally:
            self._report(last=True)
            self._link.close()

    def _on_event(self, event: BrokerEvent, stop: threading.Event) -> None:
        if isinstance(event, Message):
            self._on_message(event)
        elif isinstance(event, Acked):
            self._room += 1
        elif isinstance(event, Connected):
            self._room, self._attempt = event.window, 0
            if not self._ready:
                self._ready = True
                self._tell("ready", {"region": self._receiver.region_id})
        else:
            self._reconnect(event, stop)

    def _on_message(self, message: Message) -> None:
        parts = message.topic.split("/")
        if not message.retained:  # Else the vehicle sent it earlier, and it was counted then
            self._received[parts[4] if len(parts) > 4 else ""] += len(message.payload)
        for answer in self._receiver.handle(message.topic, message.payload):
            if len(self._answers) >= ANSWERS_MAX:
                self._answers.popleft()
            self._answers.append(answer)

    def _reconnect(self, event: Disconnected, stop: threading.Event) -> None:
        """The broker is our own child: a refusal is a fault of the region's files, and nothing to wait out."""
        if event.refused:
            raise ToolError(
                f"region {self._receiver.region_id}: its own broker is not usable: {event.reason}"
            )
        self._room = 0
        self._tell("disconnected", {"reason": event.reason})
        stop.wait(delay_ns(RETRY, self._attempt, random.random()) / 1e9)  # noqa: S311 - jitter
        self._attempt += 1
        self._link.connect(self._dial())

    def _flush(self) -> None:
        while self._answers and self._room > 0:
            topic, payload = self._answers.popleft()
            self._room -= 1
            self._link.publish(topic, payload)

    def _report(self, *, last: bool = False) -> None:
        now_s = time.monotonic()
        if not last and now_s - self._reported_s < REPORT_S:
            return
        self._reported_s = now_s
        for vehicle, count in self._received.items():
            self._tell("received", {"vehicle": vehicle, "bytes": count})
        self._received.clear()


def serve(
    directory: Path,
    *,
    json: bool = False,
    check: Annotated[tuple[Path, ...], Parameter(name="--check", consume_multiple=False, negative="")] = (),
) -> int:
    """Run the region in DIRECTORY: its broker and its receiver, until SIGINT or SIGTERM.

    Example: fsdctl region serve ./cn

    Parameters
    ----------
    directory
        As made by `fsdctl region init`.
    json
        Print one JSON object a line for everything that happens.
    check
        Model package folder of a checker (`yunet-n`, `lpd-yunet`, `nanodet-m-416`); may be given several times. Clips are then
        released to the store once every frame was looked at; what shows whom it should hide goes to the folder quarantine.
    """
    region = RegionDir(directory)
    policy = load_policy(region)
    tell = _print_json if json else _print_text
    try:
        receiver = Receiver(region, on_event=tell, hold_back=bool(check))
    except (KeyFileError, PolicyError, OSError) as error:
        raise ToolError(f"region {directory}: {error}") from error
    _check_rules(region, policy)
    link = MqttLink(OPTIONS)
    with (
        Mosquitto(region, policy.endpoints[0].host, policy.endpoints[0].port) as broker,
        _stop_on_signals(link) as stop,
        _releasing(region, policy, check, tell),
    ):
        keeper = Keeper(region, tell)

        def each_second() -> None:
            broker.check()
            keeper.step()

        Runner(link, lambda: _dial(region, policy), receiver, tell).run(stop, each_second)
    tell("stopped", {"region": policy.region_id})
    return 0


def _check_rules(region: RegionDir, policy: RegionPolicy) -> None:
    """A policy that was changed to the file convention needs rules that `region init` did not write then."""
    if policy.transfer is not TransferProfile.FILE_ASYNC or not region.broker_acl.is_file():
        return
    if SUBSCRIPTION not in region.broker_acl.read_text(encoding="utf-8"):
        raise ToolError(
            f'{region.broker_acl}: has no rules for {SUBSCRIPTION}, which the policy\'s transfer = "file_async" needs; '
            "`fsdctl region init --transfer file_async` of another folder writes one that has them"
        )


def _dial(region: RegionDir, policy: RegionPolicy) -> Dial:
    subscriptions = receiver_subscriptions(policy)
    return dial_as(policy, RECEIVER, region.receiver_cert, region.receiver_key, subscriptions)


@contextmanager
def _stop_on_signals(link: MqttLink) -> Iterator[threading.Event]:
    stop = threading.Event()

    def ask(_number: int, _frame: object) -> None:
        stop.set()
        link.wake()

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _releasing(
    region: RegionDir, policy: RegionPolicy, packages: Sequence[Path], tell: OnEvent
) -> Iterator[None]:
    """The checker beside the receiver; nothing without packages. Raises :class:`ToolError`."""
    if not packages:
        yield
        return
    codec, checkers = open_checkers(packages, threads=1)
    releaser = Releaser(region, policy.redaction, codec, checkers, tell)
    thread = threading.Thread(target=releaser.run, name="releaser")
    thread.start()
    try:
        yield
    finally:
        releaser.stop()
        thread.join()


def _print_json(name: str, fields: dict[str, str | int]) -> None:
    sys.stdout.write(msgspec.json.encode({"event": name, **fields}).decode() + "\n")
    sys.stdout.flush()


def _print_text(name: str, fields: dict[str, str | int]) -> None:
    clock = time.strftime("%H:%M:%S")
    said = "  ".join(f"{key} {value}" for key, value in fields.items())
    sys.stdout.write(f"{clock}  {name:<12}  {said}\n")
    sys.stdout.flush()
