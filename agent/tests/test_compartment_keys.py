"""Keys of compartments: made once, private, and gone for good when they are destroyed, at whatever moment power fails."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from fsd_agent.adapters.compartment_keys import CompartmentKeys
from fsd_agent.adapters.key_files import KeyFiles, VehicleDir, create_keys
from fsd_agent.adapters.locker import Locker
from fsd_agent.adapters.spool_files import SpoolFiles
from fsd_agent.adapters.staging_files import StagingFiles
from fsd_agent.ports.spool import CompartmentKeyError, SpoolDamagedError, SpoolError, SpoolFullError
from fsd_agent.ports.vehicle_keys import VehicleKeyError, VehicleKeys
from fsd_agent.records.purpose import Compartment, Purpose
from fsd_agent.testing.compartments import at
from fsd_agent.testing.sealed import as_file
from fsd_agent.testing.secure_element import MemorySecureElement
from fsd_agent.testing.vehicle_keys import MemoryVehicleKeys

CLIP, OTHER = "ab" * 16, "cd" * 16
EU, CN = at("eu"), at("cn")


@pytest.fixture
def files(tmp_path: Path) -> VehicleDir:
    create_keys(tmp_path)
    return VehicleDir(tmp_path)


@pytest.fixture(params=["memory", "files"])
def keys(request: pytest.FixtureRequest, files: VehicleDir) -> VehicleKeys:
    return MemoryVehicleKeys() if request.param == "memory" else KeyFiles(files.root)


def test_the_port(keys: VehicleKeys) -> None:
    with pytest.raises(VehicleKeyError, match=r"eu/safety"):
        keys.compartment_key(*EU)
    assert keys.compartments() == frozenset()
    made = keys.compartment_key(*EU, make=True)
    assert len(made) == 32
    assert keys.compartment_key(*EU) == keys.compartment_key(*EU, make=True) == made
    assert keys.compartment_key(*CN, make=True) != made
    assert keys.compartment_key("eu", Purpose.DIAGNOSTICS, make=True) != made
    assert keys.compartments() == {EU, CN, at("eu", Purpose.DIAGNOSTICS)}
    keys.destroy_compartment(*EU)
    keys.destroy_compartment(*EU)
    keys.destroy_compartment("us", Purpose.SAFETY)
    assert keys.compartments() == {CN, at("eu", Purpose.DIAGNOSTICS)}
    assert keys.compartment_key(*EU, make=True) != made, "what was written under the old one stays noise"


def path_of(files: VehicleDir, compartment: Compartment = EU) -> Path:
    return files.compartments / compartment.region_id / f"{compartment.purpose}.key"


def test_only_their_owner_can_read_them(files: VehicleDir) -> None:
    keys = KeyFiles(files.root)
    made = keys.compartment_key(*EU, make=True)
    path = path_of(files)
    assert path.read_bytes() == made
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    path.chmod(0o640)
    with pytest.raises(VehicleKeyError, match=f"chmod 600 {path}"):
        keys.compartment_key(*EU)
    path.chmod(0o600)
    path.write_bytes(b"short")
    with pytest.raises(VehicleKeyError, match="5 bytes, expected 32"):
        keys.compartment_key(*EU, make=True)


@pytest.mark.parametrize("region", ["..", "eu/../cn", "", "EU"])
def test_no_id_reaches_out(files: VehicleDir, region: str) -> None:
    keys = KeyFiles(files.root)
    for call in (
        lambda: keys.compartment_key(region, Purpose.SAFETY, make=True),
        lambda: keys.destroy_compartment(region, Purpose.SAFETY),
    ):
        with pytest.raises(VehicleKeyError, match="region id"):
            call()


def test_what_is_no_key_is_not_listed(files: VehicleDir) -> None:
    keys = KeyFiles(files.root)
    keys.compartment_key(*EU, make=True)
    folder = path_of(files).parent
    (folder / "safety.txt").write_bytes(b"")
    (folder / "hobby.key").write_bytes(b"")
    (folder / ".diagnostics.key.0123abcd.tmp").write_bytes(b"")
    (files.compartments / "Not A Region").mkdir()
    (files.compartments / "cn").symlink_to(folder)
    assert keys.compartments() == {EU}


def test_the_bytes_are_overwritten_before_the_name_goes(files: VehicleDir, tmp_path: Path) -> None:
    """Also those of a making that was cut off: seen through a second link to the same bytes."""
    keys = KeyFiles(files.root)
    made = keys.compartment_key(*EU, make=True)
    half = path_of(files).with_name(".safety.key.0123abcd.tmp")
    half.write_bytes(made)
    links = [tmp_path / "a", tmp_path / "b"]
    os.link(path_of(files), links[0])
    os.link(half, links[1])
    keys.destroy_compartment(*EU)
    assert not list(path_of(files).parent.iterdir())
    for link in links:
        assert len(link.read_bytes()) == 32
        assert link.read_bytes() != made


def test_a_full_disk_makes_no_half_key(small_disk: Path) -> None:
    keys = CompartmentKeys(small_disk / "keys", Locker(small_disk, None))
    keys.key(EU, make=True)
    with pytest.raises(OSError, match="No space"):
        (small_disk / "rest").write_bytes(bytes(8 << 20))
    with pytest.raises(SpoolFullError):
        keys.key(CN, make=True)
    assert keys.all() == {EU}


def test_with_a_token_the_files_hold_what_it_wrapped_for_their_place(files: VehicleDir) -> None:
    keys = CompartmentKeys(files.compartments, Locker(files.keys, MemorySecureElement()))
    key = keys.key(EU, make=True)
    path = path_of(files)
    assert key not in path.read_bytes()
    assert keys.key(EU, make=False) == key
    (files.compartments / "cn").mkdir(mode=0o700)
    path.rename(files.compartments / "cn" / "safety.key")
    with pytest.raises(VehicleKeyError, match=r"for 'compartments/eu/safety\.key'"):
        keys.key(CN, make=False)
    with pytest.raises(VehicleKeyError, match="is wrapped by a token"):
        KeyFiles(files.root).compartment_key(*CN)


def test_with_the_key_everything_in_the_compartment_goes_and_nothing_else(
    files: VehicleDir, tmp_path: Path
) -> None:
    keys = KeyFiles(files.root)
    staging, spool = StagingFiles(tmp_path / "staging", keys), SpoolFiles(tmp_path / "spool", keys)
    for compartment in (EU, CN):
        staging.open(compartment, CLIP).close()
        spool.put(compartment, CLIP, as_file(b"sealed"))
    keys.destroy_compartment(*EU)
    for _ in range(2):
        with pytest.raises(CompartmentKeyError if EU not in keys.compartments() else SpoolError):
            list(staging.read(EU, CLIP))
        with pytest.raises(CompartmentKeyError if EU not in keys.compartments() else SpoolDamagedError):
            spool.region("eu").read(EU.purpose, CLIP, 0, 6)
        keys.compartment_key(*EU, make=True)  # consent was given again
    with pytest.raises(SpoolDamagedError, match="another clip's or compartment's"):
        spool.region("eu").read(EU.purpose, CLIP, 0, 6)
    assert list(staging.read(CN, CLIP)) == []
    assert spool.region("cn").read(CN.purpose, CLIP, 0, 6) == b"sealed"


def test_putting_makes_no_key(files: VehicleDir, tmp_path: Path) -> None:
    """Its staged copy would be under the key before: a clip that was withdrawn meanwhile must not come back."""
    keys = KeyFiles(files.root)
    with pytest.raises(CompartmentKeyError, match="has no key"):
        SpoolFiles(tmp_path / "spool", keys).put(EU, CLIP, as_file(b"x"))
    assert keys.compartments() == frozenset()


def test_a_file_in_another_place_opens_nowhere(files: VehicleDir, tmp_path: Path) -> None:
    keys = KeyFiles(files.root)
    for compartment in (EU, CN, at("eu", Purpose.DIAGNOSTICS)):
        keys.compartment_key(*compartment, make=True)
    spool = SpoolFiles(tmp_path / "spool", keys)
    spool.put(EU, CLIP, as_file(b"sealed"))
    spool.put(CN, OTHER, as_file(b"their own"))
    source = tmp_path / "spool" / "eu" / "safety" / f"{CLIP}.sealed"
    for region, purpose, clip_id in (
        ("cn", Purpose.SAFETY, CLIP),
        ("eu", Purpose.DIAGNOSTICS, CLIP),
        ("eu", Purpose.SAFETY, OTHER),
    ):
        target = tmp_path / "spool" / region / purpose / f"{clip_id}.sealed"
        target.parent.mkdir(exist_ok=True)
        target.write_bytes(source.read_bytes())
        with pytest.raises(SpoolDamagedError, match=str(target)):
            spool.region(region).read(purpose, clip_id, 0, 6)
    assert spool.region("cn").read(Purpose.SAFETY, OTHER, 0, 9) == b"their own"


KILLED = """
import sys
from pathlib import Path
from fsd_agent.adapters.key_files import KeyFiles
from fsd_agent.records.purpose import Purpose
keys = KeyFiles(Path(sys.argv[1]))
n = 0
while True:
    keys.compartment_key("eu", Purpose.SAFETY, make=True)
    print(n, flush=True)
    keys.destroy_compartment("eu", Purpose.SAFETY)
    n += 1
"""


def test_killed_while_keys_are_made_and_destroyed(
    files: VehicleDir, kill_after_lines: Callable[..., list[str]]
) -> None:
    keys = KeyFiles(files.root)
    for lines in (1, 3, 10, 40):
        kill_after_lines(KILLED, lines, str(files.root))
        if EU in keys.compartments():
            assert len(keys.compartment_key(*EU)) == 32, "a key is whole, or not there"
        keys.destroy_compartment(*EU)
        assert not list(path_of(files).parent.iterdir())
