"""``fsdctl vehicle egress`` against the kernel: real nft in network namespaces, real packets."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from fsd_agent.rules.residency.egress import Destination, Opening, egress_ruleset
from fsd_tools.main import main
from fsd_tools.rig.namespaces import Count, Namespace, Network, count_from, why_not
from fsd_tools.rig.processes import wait_until

REASON = why_not()
S = 1_000_000_000
SERVICE, OTHER = 54321, 54322
CN, EU = "10.77.2.2", "10.77.3.2"

needs_namespaces = pytest.mark.skipif(REASON is not None, reason=str(REASON))

DIAL = """
import socket, sys
family = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
kind = socket.SOCK_DGRAM if sys.argv[3] == "udp" else socket.SOCK_STREAM
with socket.socket(family, kind) as s:
    s.settimeout(2)
    try:
        s.connect((sys.argv[1], int(sys.argv[2])))
        s.send(b"x")
        print("sent")
    except OSError as error:
        print(error.strerror or error)
"""


@pytest.fixture
def vehicle(tmp_path: Path) -> Path:
    """Enrolled with both regions, registered nowhere yet."""
    for region, code, host in (("cn", "CN", CN), ("eu", "DE", EU)):
        root = str(tmp_path / region)
        assert main(["region", "init", root, "--id", region, "--jurisdiction", code, "--host", host]) == 0
        assert main(["vehicle", "enrol", root, "--vehicle", "car-1", "-o", str(tmp_path / "car-1")]) == 0
    (tmp_path / "car-1" / "data").mkdir()
    return tmp_path / "car-1"


def register(vehicle: Path, jurisdiction: str, *options: str) -> None:
    registry = vehicle.parent / "registry"
    if not registry.exists():
        assert main(["registry", "init", str(registry)]) == 0
    argv = ["--registry", str(registry), "--vehicle", "car-1", "--jurisdiction", jurisdiction]
    assert main(["vehicle", "register", str(vehicle), *argv, *options]) == 0


@pytest.fixture
def network() -> Iterator[Network]:
    with Network() as network:
        car = network.add("car")
        for name in ("cn", "eu"):
            region = network.add(name)
            region.nft(count_from([car]))
        yield network


def egress(car: Namespace, vehicle: Path, *options: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "fsd_tools", "vehicle", "egress", str(vehicle), "--user", str(SERVICE)]
    return subprocess.run(car.argv(*argv, *options), capture_output=True, text=True, check=False)


def dial(car: Namespace, uid: int, address: str, port: int = 8883, kind: str = "tcp") -> str:
    # The system's Python, by its real path: another user may not enter the folders of ours.
    python = os.path.realpath("/usr/bin/python3")
    drop = ("setpriv", "--reuid", str(uid), "--clear-groups")
    if not os.access(python, os.X_OK):
        pytest.skip("no Python that every user may run")
    return car.run(*drop, python, "-c", DIAL, address, str(port), kind).strip()


def arrived(network: Network, name: str) -> Count:
    return network.members[name].counters()["from_car"]


@needs_namespaces
def test_not_even_a_syn_goes_elsewhere(vehicle: Path, network: Network) -> None:
    """Wall 5 with every other wall knocked out: the client here checks nothing and dials whatever it is told."""
    car = network.members["car"]
    register(vehicle, "CN")
    done = egress(car, vehicle, "--apply")
    assert done.returncode == 0, done.stderr
    assert dial(car, SERVICE, CN) == "Connection refused", "let through; nothing listens there"
    assert arrived(network, "cn").packets == 1
    for address, port, kind in ((EU, 8883, "tcp"), (CN, 8884, "tcp"), (CN, 8883, "udp"), (CN, 53, "udp"),
                                (EU, 53, "udp"), ("127.0.0.1", 8883, "tcp")):  # fmt: skip
        assert dial(car, SERVICE, address, port, kind) != "sent"
    assert arrived(network, "eu") == Count(0, 0)
    assert arrived(network, "cn").packets == 1
    counters = car.counters()
    assert counters["to_region"].packets == 1
    assert counters["refused"].packets >= 6
    assert dial(car, OTHER, EU) == "Connection refused", "the list is for the service's user alone"
    assert arrived(network, "eu").packets == 1


@needs_namespaces
def test_a_rewritten_destination_is_judged_by_where_it_goes(vehicle: Path, network: Network) -> None:
    car = network.members["car"]
    register(vehicle, "CN")
    assert egress(car, vehicle, "--apply").returncode == 0
    car.nft(
        "table ip hijack {\nchain output {\ntype nat hook output priority -100;\n"
        f"ip daddr {CN} tcp dport 8883 dnat to {EU}:8883\n}}\n}}\n"
    )
    assert dial(car, SERVICE, CN) != "sent"
    assert arrived(network, "eu") == Count(0, 0)
    assert dial(car, OTHER, CN) == "Connection refused"
    assert arrived(network, "eu").packets == 1, "without the list the rewriting works"


@needs_namespaces
def test_the_list_follows_the_registration_and_holds_when_the_vehicle_holds(
    vehicle: Path, network: Network
) -> None:
    car = network.members["car"]
    assert egress(car, vehicle, "--apply").returncode == 0
    for address in (CN, EU):
        assert dial(car, SERVICE, address) != "sent"
    assert arrived(network, "cn") == arrived(network, "eu") == Count(0, 0)
    register(vehicle, "DE")
    assert egress(car, vehicle, "--apply").returncode == 0
    assert dial(car, SERVICE, EU) == "Connection refused"
    dial(car, SERVICE, CN)
    assert arrived(network, "cn") == Count(0, 0)
    assert arrived(network, "eu").packets == 1


@needs_namespaces
def test_check_says_whether_exactly_this_list_is_in_force(vehicle: Path, network: Network) -> None:
    car = network.members["car"]
    register(vehicle, "CN")
    done = egress(car, vehicle, "--check")
    assert (done.returncode, "no egress list is in force" in done.stdout) == (1, True)
    assert egress(car, vehicle, "--apply").returncode == 0
    assert egress(car, vehicle, "--check").returncode == 0
    dial(car, SERVICE, EU)
    assert egress(car, vehicle, "--check").returncode == 0, "counts are no difference"
    car.run("nft", "insert", "rule", "inet", "fsd_egress", "service", "accept")
    done = egress(car, vehicle, "--check")
    assert (done.returncode, "another list" in done.stdout) == (1, True)
    assert egress(car, vehicle, "--apply").returncode == 0
    register(vehicle, "DE")
    assert egress(car, vehicle, "--check").returncode == 1, "the list of the former region"


@pytest.mark.skipif(os.geteuid() != 0, reason="drops root")
def test_without_the_right_it_says_what_is_needed(vehicle: Path) -> None:
    argv = [sys.executable, "-m", "fsd_tools", "vehicle", "egress", str(vehicle), "--user", str(SERVICE)]
    # Root without capabilities: as an unprivileged user, but able to read this checkout.
    bare = ["setpriv", "--bounding-set", "-all", "--inh-caps", "-all"]
    for option in ("--apply", "--check"):
        done = subprocess.run([*bare, *argv, option], capture_output=True, text=True, check=False)
        assert done.returncode == 1
        assert "Operation not permitted" in done.stderr


def test_without_nft_it_says_how_to_get_it(vehicle: Path) -> None:
    argv = [sys.executable, "-m", "fsd_tools", "vehicle", "egress", str(vehicle), "--user", "0", "--apply"]
    # Only a system without nft lacks it on its fixed folders, so a private root is looked at by a private PATH.
    script = 'mount -t tmpfs none /usr/sbin && exec "$@"'
    if REASON is not None:
        pytest.skip(REASON)
    run = ["unshare", "--mount", "--net", "sh", "-c", script, "sh", *argv]
    done = subprocess.run(run, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "apt-get install nftables" in done.stderr


def test_printing_needs_no_rights_and_refuses_what_can_not_be(
    vehicle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    register(vehicle, "CN")
    capsys.readouterr()
    assert main(["vehicle", "egress", str(vehicle), "--user", "7"]) == 0
    printed = capsys.readouterr().out
    assert f"{CN} . 8883 timeout" in printed
    assert EU not in printed
    assert main(["vehicle", "egress", str(vehicle), "--user", "no-such-user"]) == 2
    assert main(["vehicle", "egress", str(vehicle), "--user", "7", "--apply", "--check"]) == 2
    assert main(["vehicle", "egress", str(vehicle / "x"), "--user", "7"]) == 1
    assert "is not a vehicle's directory" in capsys.readouterr().err


def test_a_policy_with_a_name_lists_the_addresses_that_it_signs(
    vehicle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    register(vehicle, "CN")
    region = vehicle.parent / "cn"
    draft = region / "region.toml"
    draft.write_text(draft.read_text().replace(f'host = "{CN}"', 'host = "broker.example"'))
    assert main(["region", "policy", "sign", str(region)]) == 0
    (vehicle / "policies" / "cn.signed").write_bytes((region / "region.signed").read_bytes())
    capsys.readouterr()
    assert main(["vehicle", "egress", str(vehicle), "--user", "7"]) == 0
    printed = capsys.readouterr().out
    assert f"{CN} . 8883 timeout" in printed
    assert "policy version 2" in printed


@pytest.mark.parametrize("what", ["policies/cn.signed", "registration.signed", "trust/registration.pub"])
def test_what_is_not_signed_lists_nothing(
    vehicle: Path, what: str, capsys: pytest.CaptureFixture[str]
) -> None:
    register(vehicle, "CN")
    whole = (vehicle / what).read_bytes()
    (vehicle / what).write_bytes(whole[: len(whole) // 4])
    capsys.readouterr()
    assert main(["vehicle", "egress", str(vehicle), "--user", "7"]) == 0
    printed = capsys.readouterr().out
    assert "The vehicle holds" in printed
    assert CN not in printed


# The list closes by itself

LASTS_S = 8
"""Enough to start a client in, also on a busy machine."""


def load(car: Namespace, opens: Opening) -> None:
    car.nft(egress_ruleset(SERVICE, opens))


@needs_namespaces
@pytest.mark.parametrize("clock", ["wall", "elements", "both"])
def test_the_list_closes_by_itself_by_either_clock(clock: str, network: Network) -> None:
    """Nobody runs anything: when it is over not even a SYN leaves. One of the two clocks alone is enough."""
    car, now_ns, year_ns = network.members["car"], time.time_ns(), 365 * 86_400 * S
    ahead_ns = {"wall": -year_ns, "elements": year_ns, "both": 0}[clock]
    # What the list was made at is set off: then the other clock has another year to go, or had.
    until_ns = now_ns + LASTS_S * S + max(0, ahead_ns)
    load(car, Opening((Destination(CN, 8883),), now_ns + ahead_ns, until_ns))
    assert dial(car, SERVICE, CN) == "Connection refused"
    assert arrived(network, "cn").packets == 1
    time.sleep(LASTS_S)
    assert dial(car, SERVICE, CN) != "sent"
    assert arrived(network, "cn").packets == 1
    assert dial(car, OTHER, CN) == "Connection refused"
    assert arrived(network, "cn").packets == 2, "the way is there for others"


TALK = """
import socket, sys, time
with socket.create_connection((sys.argv[1], 8883), 2) as s:
    s.send(b"x")
    time.sleep(float(sys.argv[2]))
    try:
        for _ in range(3):
            s.send(b"y")
            time.sleep(0.2)
        print("sent")
    except OSError as error:
        print(error.strerror)
"""
LISTEN = """
import socket
with socket.create_server(("", 8883)) as server:
    print("ready", flush=True)
    connection, _ = server.accept()
    while connection.recv(100):
        pass
"""


@needs_namespaces
def test_an_open_connection_ends_with_the_list(network: Network) -> None:
    car, now_ns = network.members["car"], time.time_ns()
    python = os.path.realpath("/usr/bin/python3")
    if not os.access(python, os.X_OK):
        pytest.skip("no Python that every user may run")
    argv = network.members["cn"].argv(python, "-c", LISTEN)
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        assert server.stdout.readline() == "ready\n"
        load(car, Opening((Destination(CN, 8883),), now_ns, now_ns + LASTS_S * S))
        talk = ("setpriv", "--reuid", str(SERVICE), "--clear-groups", python, "-c", TALK, CN, str(LASTS_S))
        with subprocess.Popen(car.argv(*talk), stdout=subprocess.PIPE, text=True) as client:
            wait_until(
                lambda: arrived(network, "cn").packets >= 3, timeout_s=LASTS_S, what="the first byte arrives"
            )
            before = arrived(network, "cn")
            said, _ = client.communicate(timeout=20)
            after = arrived(network, "cn")
        server.kill()
        assert before.packets == 3, "SYN, ACK and the first byte"
        assert after == before, "nothing of the open connection either"
        assert said.strip() in {"Connection reset by peer", "Broken pipe"}, "and the socket was told"


@needs_namespaces
@pytest.mark.parametrize("lasts", ["timeout 9999d", ""])
def test_check_finds_an_element_that_lasts_longer_than_the_registration(
    lasts: str, vehicle: Path, network: Network
) -> None:
    car = network.members["car"]
    register(vehicle, "CN")
    assert egress(car, vehicle, "--apply").returncode == 0
    assert egress(car, vehicle, "--check").returncode == 0
    car.run("nft", "delete", "element", "inet", "fsd_egress", "region4", f"{{ {CN} . 8883 }}")
    car.run("nft", "add", "element", "inet", "fsd_egress", "region4", f"{{ {CN} . 8883 {lasts} }}")
    assert egress(car, vehicle, "--check").returncode == 1


@needs_namespaces
@pytest.mark.parametrize("clock", ["wall", "elements"])
def test_check_tells_an_expired_list_from_a_matching_and_from_another_one(
    clock: str, vehicle: Path, network: Network
) -> None:
    car, now_ns = network.members["car"], time.time_ns()
    register(vehicle, "CN", "--not-before", "2021-01-01T00:00:00Z", "--not-after", "2022-01-01T00:00:00Z")
    behind_ns = {"wall": 365 * 86_400 * S, "elements": 0}[clock]
    end_ns = {"wall": now_ns + S, "elements": now_ns + S // 1000}[clock]
    load(car, Opening((Destination(CN, 8883),), now_ns - behind_ns, end_ns))
    time.sleep(2)
    assert ("8883" in car.run("nft", "list", "set", "inet", "fsd_egress", "region4")) == (clock == "wall")
    done = egress(car, vehicle, "--check")
    assert (done.returncode, "has expired" in done.stdout) == (3, True), done.stdout
    assert "registration_expired" in done.stdout
    car.run("nft", "insert", "rule", "inet", "fsd_egress", "service", "accept")
    assert egress(car, vehicle, "--check").returncode == 1, "what lets something through has not expired"
    assert egress(car, vehicle, "--apply").returncode == 0
    assert egress(car, vehicle, "--check").returncode == 0, "the list of a vehicle that holds"


@needs_namespaces
def test_the_kernel_takes_the_longest_and_the_shortest_time(network: Network) -> None:
    for left_ns in (1, 180 * 365 * 86_400 * S):
        load(network.members["car"], Opening((Destination(CN, 8883), Destination("::1", 1)), 0, left_ns))
