"""The uplink's benchmark in small: what is compared is the same, and what is missing is said."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from fsd_agent.wire.transfer import SEGMENT_BYTES
from fsd_tools.bench.uplink_peers import Peer, build, find_peer
from fsd_tools.bench.uplink_place import Place, in_turns
from fsd_tools.errors import ToolError
from fsd_tools.region.mosquitto import find_mosquitto

try:
    find_mosquitto()
except ToolError as error:
    pytest.skip(str(error), allow_module_level=True)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with contextlib.closing(Place(tmp_path / "place")) as made:
        yield made


def test_the_vehicle_and_its_peers_send_the_same_to_the_same_broker(place: Place, tmp_path: Path) -> None:
    place.fill(2, 10 * SEGMENT_BYTES, real=False)
    place.count()
    ours = place.car("taken")
    assert (ours.given_bytes, ours.clip_bytes, ours.connections) == (
        20 * SEGMENT_BYTES,
        20 * SEGMENT_BYTES,
        1,
    )
    assert min(ours.seconds, ours.cpu_s) > 0
    for peer in peers(tmp_path):
        spent = place.peer(peer, 20)  # Raises where anything was refused
        # What mosquitto_pub takes for a few messages is lost in what its start takes.
        assert peer.name == "mosquitto_pub -l" or min(spent.seconds, spent.cpu_s) > 0


def peers(folder: Path) -> list[Peer]:
    """Those that there are."""
    found = []
    with contextlib.suppress(ToolError):
        found.append(find_peer(folder))
    with pytest.MonkeyPatch.context() as patch, contextlib.suppress(ToolError):
        patch.setenv("PATH", str(without(folder / "bin", "cc", "gcc")))
        found.append(find_peer(folder))
    return found


def without(folder: Path, *names: str) -> Path:
    """A folder with the programs of the PATH that the benchmark may want, but for these."""
    folder.mkdir(exist_ok=True)
    for name in {"mosquitto_pub", "cc", "gcc"}.difference(names):
        program = shutil.which(name)
        if program is not None and not (folder / name).exists():
            (folder / name).symlink_to(program)
    return folder


def test_without_a_compiler_mosquitto_pub_is_the_peer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "mosquitto_pub"
    program.touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_peer(tmp_path).name == "mosquitto_pub -l"


def test_without_any_peer_it_is_said_how_to_get_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    wanted = r"no compiler: `apt-get install gcc libc6-dev libmosquitto-dev`; or `apt-get install mosquitto-clients`"
    with pytest.raises(ToolError, match=wanted):
        find_peer(tmp_path)


def test_what_the_compiler_says_is_passed_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compiler = tmp_path / "cc"
    compiler.write_text("#!/bin/sh\necho 'mosquitto.h: No such file or directory' >&2\nexit 1\n")
    compiler.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with pytest.raises(
        ToolError, match=r"mosquitto.h: No such file.*apt-get install gcc libc6-dev libmosquitto-dev"
    ):
        build(tmp_path)


def test_turns_are_taken_and_every_second_round_in_reverse() -> None:
    done: list[str] = []
    rounds = in_turns(3, lambda: done.append("a"), lambda: done.append("b"))
    assert list(rounds) == [0, 1, 2, 3]
    assert "".join(done) == "ba" + "ab" + "ba" + "ab"
