"""Each wall with the others down, and the proof with walls down: what it must notice, it notices."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from fsd_agent.adapters.key_files import KeyFiles
from fsd_agent.adapters.spool_files import SpoolFiles
from fsd_agent.ports.spool import SpoolDamagedError
from fsd_agent.ports.vehicle_keys import VehicleKeyError
from fsd_agent.rules.residency.egress import Destination
from fsd_agent.wire.spool_head import SpoolFileError
from fsd_tools.rig.processes import wait_until
from hil_tests.wire import fleet
from hil_tests.wire.brokers import Fault, port_of
from hil_tests.wire.explore import explore_in
from hil_tests.wire.moves import Move, Schedule
from hil_tests.wire.play import HOLDS, Outcome, look, play
from hil_tests.wire.watch import Phase, Watch
from hil_tests.wire.world import World

MQTT_ALONE = """
import sys, ssl, time
import paho.mqtt.client as paho
host, port, certificate, key = sys.argv[1:5]
client = paho.Client(paho.CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
context.check_hostname = False
context.verify_mode = ssl.CERT_NONE
context.load_cert_chain(certificate, key)
client.tls_set_context(context)
try:
    client.connect(host, int(port))
    client.loop_start()
    client.publish("anything", b"x" * 1000, qos=1).wait_for_publish(3)
    client.disconnect()
    print("published")
except OSError as error:
    print(error)
"""


def careless_client(world: World, region: str, port: int, identity: str = "cn") -> str:
    """A client that checks nothing, with the vehicle's certificate, from the vehicle's namespace."""
    files = world.vehicle
    argv = [sys.executable, "-c", MQTT_ALONE, world.addresses[region], str(port),
            str(files.tls_certificate(identity)), str(files.tls_key(identity))]  # fmt: skip
    return subprocess.run(world.car.argv(*argv), capture_output=True, text=True, check=True).stdout.strip()


def watched(world: World, phase: Phase) -> Watch:
    watch = Watch(world.car.address, world.memory)
    look(world, watch, phase)
    return watch


def run(world: World, *moves: Move, egress: bool = False, broken: str = "") -> tuple[Outcome, Watch]:
    watch = Watch(world.car.address, world.memory)
    plan = Schedule(0, egress, named=False, moves=moves)
    return play(world, watch, plan, broken=broken), watch


ASTRAY = (("register", "CN"), ("hijack", "net", "cn", "eu", fleet.PORT), ("deliver", 0))


def test_a_careless_client_is_seen(world: World) -> None:
    """The control: without walls the wire shows a certificate and data, and the oracle says so."""
    run(world)
    assert careless_client(world, "eu", port_of(Fault.OPEN)) == "published"
    watch = watched(world, Phase("cn", frozenset({"cn"}), frozenset({fleet.PORT}), None))
    (cell,) = watch.matrix.values()
    assert cell.secret_bytes > 1500, "a certificate of some 500 bytes, and 1000 of MQTT"
    assert any("secret bytes reached eu" in wrong for wrong in watch.wrong)


@pytest.mark.parametrize("broken", ["tls", "routing", "sealing"])
def test_the_proof_fails_when_a_wall_is_down(world: World, broken: str) -> None:
    failures = explore_in(world, range(1, 200), say=print, broken=broken, failures_max=1).failures
    assert failures, f"nobody noticed that {broken} was down"
    assert len(failures[0].moves) <= 5, "it is cut down to what it takes"
    assert failures[0].wrong, "what was cut down fails again"


def test_the_proof_fails_when_the_list_is_said_to_be_on_and_is_not(world: World) -> None:
    failures = explore_in(world, range(1, 200), say=print, knocked=True, failures_max=1).failures
    assert failures, "nobody noticed"
    assert any("not on the egress list" in wrong for wrong in failures[0].wrong)


def test_routing_alone(world: World) -> None:
    """TLS and the list are down; a vehicle that holds dials nobody."""
    for moves in ((), (("register", fleet.UNSERVED),), (("register", "CN"), ("unregister", "garbage"))):
        outcome, watch = run(world, *moves, ("deliver", 4000), broken="tls")
        assert outcome.wrong == []
        assert not [row for _, row, _ in watch.matrix if row == HOLDS]


@pytest.mark.parametrize("fault", [None, *Fault])
def test_tls_alone(world: World, fault: Fault | None) -> None:
    """Routing is led astray by a policy with a foreign address, and the list is down: nothing but a hello."""
    port = fleet.PORT if fault is None else port_of(fault)
    target = "eu"
    astray = (
        ("register", "CN"),
        ("policy", "address", "cn", target),
        ("hijack", "net", target, target, port),
    )
    outcome, watch = run(world, *astray, ("deliver", 0))
    assert outcome.wrong == []
    assert "not the broker of region 'cn'" in outcome.log[-1]
    cell = next(cell for (_, _, region), cell in watch.matrix.items() if region == target)
    assert (cell.connections, cell.secret_bytes) == (1, 0)


def test_sealing_alone(world: World) -> None:
    """Routing, TLS and the list are down and a region's own broker key was copied abroad: what arrives is noise."""
    outcome, watch = run(
        world, ("register", "CN"), ("deliver", 0), ("collect",),
        ("hijack", "net", "cn", "us", port_of(Fault.SWAPPED)), ("deliver", 4000), ("kill",), ("deliver", 0),
    )  # fmt: skip
    assert any("secret bytes reached us" in wrong for wrong in outcome.wrong), (
        "that key is the region's broker"
    )
    assert sum(cell.secret_bytes for (_, _, region), cell in watch.matrix.items() if region == "us") > 1000
    assert outcome.clips == 1
    assert not any("opens" in wrong or "in the store" in wrong for wrong in outcome.wrong)


def test_the_egress_list_alone(world: World) -> None:
    """Routing, TLS and sealing are down: a careless client with the vehicle's certificate sends not even a SYN."""
    run(world)
    world.egress((Destination(world.addresses["cn"], fleet.PORT),))
    try:
        for region in ("eu", "us"):
            for port in (fleet.PORT, port_of(Fault.OPEN)):
                assert careless_client(world, region, port) != "published"
        assert careless_client(world, "cn", port_of(Fault.OPEN)) != "published"
    finally:
        world.egress(None)
    listed = frozenset({(world.addresses["cn"], fleet.PORT)})
    watch = watched(world, Phase("cn", frozenset({"cn"}), frozenset({fleet.PORT}), listed))
    assert (watch.wrong, dict(watch.matrix)) == ([], {})


def test_the_egress_list_holds_where_a_regions_broker_key_was_copied_abroad(world: World) -> None:
    outcome, watch = run(
        world, ("register", "CN"), ("hijack", "car", "cn", "us", port_of(Fault.SWAPPED)), ("deliver", 0),
        egress=True,
    )  # fmt: skip
    assert outcome.wrong == []
    assert not [region for _, _, region in watch.matrix if region == "us"]


def copied_to_eu(world: World) -> Path:
    """A clip of cn's in eu's compartment."""
    (path,) = [one for one in fleet.sealed_files(world.data) if fleet.compartment_of(one).region_id == "eu"]
    return path


@pytest.mark.parametrize("broken", ["", "tls", "routing"])
def test_in_another_compartment_a_clip_is_noise_whatever_else_is_broken(world: World, broken: str) -> None:
    """Nobody can send what nobody can read: with the keys of eu's compartment, and by whoever looks at the bytes."""
    outcome, _ = run(
        world, ("register", "CN"), ("kill",), ("deliver", 0), ("collect",), ("copy", "same name", 0, "eu"), broken=broken
    )  # fmt: skip
    assert (outcome.wrong, outcome.clips) == ([], 1)
    path, keys = copied_to_eu(world), KeyFiles(world.vehicle.root)
    source = world.data / "spool" / "cn" / fleet.PURPOSE / path.name
    assert path.read_bytes() == source.read_bytes()
    sealed = fleet.inner(source, keys)
    assert fleet.unwraps(sealed, world.sealing_keys["cn"])
    assert sealed[:200] not in path.read_bytes()
    keys.compartment_key("eu", fleet.PURPOSE, make=True)
    with pytest.raises(SpoolFileError, match="of compartment cn"):
        fleet.inner(path, keys)
    with pytest.raises(SpoolDamagedError, match=path.name):
        SpoolFiles(world.data / "spool", keys).region("eu").read(fleet.PURPOSE, path.stem, 0, 1)
    keys.destroy_compartment("cn", fleet.PURPOSE)
    with pytest.raises(VehicleKeyError, match="has no key"):
        fleet.inner(source, keys)


def test_a_compartment_alone(world: World) -> None:
    """A clip copied into another region's compartment is not sent from there, before and after a restart."""
    moves: list[Move] = [("register", "CN"), ("deliver", 0), ("collect",), ("copy", "same name", 0, "eu"),
             ("register", "DE"), ("deliver", 2), ("kill",), ("deliver", 2)]  # fmt: skip
    outcome, _ = run(world, *moves)
    assert (outcome.wrong, outcome.clips, outcome.delivered) == ([], 1, 0)
    outcome, _ = run(world, *moves, ("register", "CN"), ("deliver", 2))
    assert (outcome.wrong, outcome.clips, outcome.delivered) == ([], 1, 1)


@pytest.mark.usefixtures("namespaces")
def test_nothing_is_left_when_the_prover_is_killed() -> None:
    """Holders, brokers, receivers and the car go with it, and the namespaces with them."""
    script = (
        "import os, sys; from hil_tests.wire.world import World; w = World()\n"
        "print(w.car.pid, w.network.router.pid, w.network.members['cn'].pid, flush=True); sys.stdin.read()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    holders = process.stdout.readline().split()
    namespaces = {Path(f"/proc/{pid}/ns/net").readlink() for pid in holders}
    assert len(namespaces) == 3
    process.kill()
    process.communicate()

    def inhabited() -> bool:
        found = set()
        for entry in Path("/proc").glob("[0-9]*/ns/net"):
            try:
                found.add(entry.readlink())
            except OSError:
                continue
        return bool(found & namespaces)

    wait_until(lambda: not inhabited(), timeout_s=10.0, what="the namespaces go")
