"""The agent's stores on their own: what each does to a disk, step by step, and what it must still hold afterwards.

A program runs on what it finds, as after any stop. It says what it goes by from then on: what was confirmed to it, and what it
found when it started, for whoever starts believes what is there.
"""

from __future__ import annotations

import datetime as dt
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from fsd_agent.adapters import durable
from fsd_agent.adapters.compartment_keys import CompartmentKeys
from fsd_agent.adapters.device_keys import DeviceKeys
from fsd_agent.adapters.key_files import KeyFiles, create_keys, own_key_ids
from fsd_agent.adapters.ledger_files import LedgerFiles
from fsd_agent.adapters.locker import Locker
from fsd_agent.adapters.spool_files import SpoolFiles
from fsd_agent.adapters.sqlite_journal import SqliteJournal
from fsd_agent.adapters.staging_files import StagingFiles
from fsd_agent.adapters.tls_files import TlsFiles
from fsd_agent.adapters.vehicle_dir import VehicleDir
from fsd_agent.ports.spool import SpoolError
from fsd_agent.records.clip import SealedFile
from fsd_agent.records.ledger import ConsentChanged
from fsd_agent.records.purpose import Compartment, Purpose
from fsd_agent.rules.audit.writer import LedgerLimits
from fsd_agent.testing.clock import ManualClock
from fsd_agent.testing.events import RememberedEvents
from fsd_agent.testing.vehicle_keys import MemoryVehicleKeys
from fsd_agent.wire.enrolment import tls_key_id

Say = Callable[[str], None]
REGION = "cn"
CLIP = "c" * 32
PLACE = Compartment(REGION, Purpose.SAFETY)
CONTENT = bytes(range(256)) * 600
SAID, DONE = "said ", "done"
ROUNDS = 3
SMALL = LedgerLimits(segment_bytes=600, keep_bytes=1 << 20, most_bytes=1 << 20)
"""A file of the ledger has a few records only."""


@dataclass(frozen=True, slots=True)
class Store:
    """One of them."""

    run: Callable[[Path, Say], None]
    holds: Callable[[Path, Sequence[str]], bool]
    """Whether what was said is still so."""


def _journal(folder: Path, say: Say) -> None:
    """A value that counts up."""
    journal = SqliteJournal(folder / "data" / "journal.db")
    number = int(journal.get_state("number") or b"0")
    say(str(number))
    for _ in range(ROUNDS if number == 0 else 0):
        number += 1
        journal.set_state("number", b"%d" % number)
        say(str(number))


def _journal_holds(folder: Path, said: Sequence[str]) -> bool:
    journal = SqliteJournal(folder / "data" / "journal.db")
    try:
        return int(journal.get_state("number") or b"0") >= max(map(int, said), default=0)
    finally:
        journal.close()


def _ledger(folder: Path, say: Say) -> None:
    """Records over several files."""
    ledger = _open_ledger(folder)
    for number in range(4 * ROUNDS):
        say(str(ledger.head().value.size))
        ledger.append(ConsentChanged(Purpose.SAFETY, given=number % 2 == 0))


def _ledger_holds(folder: Path, said: Sequence[str]) -> bool:
    ledger = _open_ledger(folder)
    try:
        return ledger.head().value.size >= max(map(int, said), default=0)
    finally:
        ledger.close()


def _open_ledger(folder: Path) -> LedgerFiles:
    return LedgerFiles(
        folder / "data" / "ledger",
        keys=MemoryVehicleKeys(),
        clock=ManualClock(),
        events=RememberedEvents(),
        limits=SMALL,
    )


def _staging(folder: Path, say: Say) -> None:
    """A compartment's key, and a clip in progress under it."""
    create_keys(folder)
    staging = StagingFiles(folder / "data" / "staging", KeyFiles(folder))
    staging.erase(PLACE, CLIP)  # As recovery does with a file that no row knows
    writer = staging.open(PLACE, CLIP)
    for number in range(ROUNDS):
        writer.append(b"%d" % number)
        writer.sync()
        say(str(number))


def _staging_holds(folder: Path, said: Sequence[str]) -> bool:
    if not said:
        return True
    staging = StagingFiles(folder / "data" / "staging", KeyFiles(folder))
    parts = [part.decode() for part in staging.read(PLACE, CLIP)]
    return int(said[-1]) < len(parts)


def _key(folder: Path, say: Say) -> None:
    """A compartment's key, made once."""
    say(_compartments(folder).key(PLACE, make=True).hex())


def _key_holds(folder: Path, said: Sequence[str]) -> bool:
    return not said or said == [_compartments(folder).key(PLACE, make=False).hex()] * len(said)


def _compartments(folder: Path) -> CompartmentKeys:
    files = VehicleDir(folder)
    return CompartmentKeys(files.compartments, Locker(files.keys, None))


def _file(folder: Path, say: Say) -> None:
    """A file in folders that are made for it."""
    home = folder / "data" / "spool" / REGION / "safety"
    durable.make_folder(home)
    durable.write_file(home / "file", [b"content"])
    say("there")


def _file_holds(folder: Path, said: Sequence[str]) -> bool:
    path = folder / "data" / "spool" / REGION / "safety" / "file"
    return not said or path.read_bytes() == b"content"


def _sealed(folder: Path, say: Say) -> None:
    """A sealed file. Whoever starts goes by what is whole, once it is settled, as recovery does."""
    create_keys(folder)
    keys = KeyFiles(folder)
    keys.compartment_key(REGION, Purpose.SAFETY, make=True)
    spool = SpoolFiles(folder / "data" / "spool", keys)
    spool.settle(PLACE, CLIP)
    if not _is_whole(spool):
        spool.put(PLACE, CLIP, SealedFile(len(CONTENT), bytes(32), [CONTENT]))
    say("there")


def _sealed_holds(folder: Path, said: Sequence[str]) -> bool:
    return not said or _is_whole(SpoolFiles(folder / "data" / "spool", KeyFiles(folder)))


def _is_whole(spool: SpoolFiles) -> bool:
    try:
        return spool.region(REGION).read(PLACE.purpose, CLIP, 0, 2 * len(CONTENT)) == CONTENT
    except SpoolError:
        return False


def _identity(folder: Path, say: Say) -> None:
    """The device's key, certificates that are renewed, and a rotation."""
    create_keys(folder)
    devices, tls = DeviceKeys(VehicleDir(folder), None), TlsFiles(VehicleDir(folder))
    say(f"device {devices.current().key_id}")
    for _ in range(ROUNDS):
        key = tls.asking(REGION)
        tls.note(REGION, _request(key))
        tls.asked(REGION)
        tls.take(REGION, tls_key_id(key.public_key()), _certificate(key))
        say(f"tls {tls_key_id(key.public_key())}")
    devices.begin(1)
    say(f"device {devices.newest().key_id}")
    say(f"device {devices.commit().key_id}")


def _identity_holds(folder: Path, said: Sequence[str]) -> bool:
    tls = TlsFiles(VehicleDir(folder))
    tls.asked(REGION)
    pairs = [one.removeprefix("tls ") for one in said if one.startswith("tls")]
    if pairs:
        certificate = tls.certificate(REGION).public_key()
        key = serialization.load_pem_private_key(tls.pair(REGION)[1].read_bytes(), password=None)
        if certificate != key.public_key():
            return False
    devices = {one.removeprefix("device ") for one in said if one.startswith("device")}
    return not devices or devices <= own_key_ids(folder)


def _request(key: ec.EllipticCurvePrivateKey) -> x509.CertificateSigningRequest:
    return x509.CertificateSigningRequestBuilder().subject_name(_NAME).sign(key, hashes.SHA256())


def _certificate(key: ec.EllipticCurvePrivateKey) -> bytes:
    now = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    builder = x509.CertificateBuilder(_NAME, _NAME, key.public_key(), x509.random_serial_number())
    dated = builder.not_valid_before(now).not_valid_after(now + dt.timedelta(days=365))
    return dated.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


_NAME = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "car-1")])

STORES = {
    "journal": Store(_journal, _journal_holds),
    "ledger": Store(_ledger, _ledger_holds),
    "staging": Store(_staging, _staging_holds),
    "key": Store(_key, _key_holds),
    "file": Store(_file, _file_holds),
    "sealed": Store(_sealed, _sealed_holds),
    "identity": Store(_identity, _identity_holds),
}


def work(arguments: Sequence[str]) -> int:
    """A store by name, on a folder; it stays when it is done, for nothing is closed in order before a cut."""
    name, folder = arguments
    STORES[name].run(Path(folder), lambda one: print(f"{SAID}{one}", flush=True))
    print(DONE, flush=True)
    signal.pause()
    return 0
