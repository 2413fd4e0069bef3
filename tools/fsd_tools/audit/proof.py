"""``fsdctl audit prove`` and ``check``: one record of a ledger, shown without the others.

A proof is one JSON object; bytes are hexadecimal::

    {"format": 1, "record": ..., "path": [...], "head": ...}

``record`` is the record as it was hashed, ``path`` its audit path (RFC 6962, 2.1.1, nearest first), ``head`` the signed head
whose root it leads to (``wire/ledger.py``). Who has the vehicle's public key can check it, with nothing else of the ledger.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from cyclopts import Parameter

from fsd_agent.records.ledger import Entry, Head
from fsd_agent.rules.audit.heads import signature_fault
from fsd_agent.rules.audit.merkle import leaf_hash, verify_inclusion
from fsd_agent.wire.ledger import LedgerFormatError, Signed, decode_entry, decode_head, encode_entry
from fsd_agent.wire.ledger_file import HEAD
from fsd_tools.audit.sources import known_keys, parse_device_keys, read_ledger
from fsd_tools.audit.verify import run_audit
from fsd_tools.clip.info import utc
from fsd_tools.errors import ToolError, UsageError

_Regions = Annotated[tuple[Path, ...], Parameter(consume_multiple=True)]


class Proof(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """See the module."""

    format: Literal[1]
    record: str
    path: tuple[str, ...]
    head: str


def prove(
    ledger_dir: Path,
    *,
    record: int,
    output: Annotated[Path, Parameter(name=["--output", "-o"])],
    receipts: _Regions = (),
    device_key: tuple[str, ...] = (),
) -> int:
    """Write a proof that one record is in the ledger in LEDGER_DIR, which must hold up to its newest signed head.

    Example: fsdctl audit prove ./car-1/ledger --receipts ./cn --record 7 -o 7.json

    Parameters
    ----------
    ledger_dir
        The vehicle's ledger, or a copy.
    record
        Number of the record; `fsdctl audit show` has them.
    output
        Where the proof is written.
    receipts
        Directories of regions, for the vehicle's public key.
    device_key
        Base64 of the vehicle's public key.
    """
    audit = run_audit(ledger_dir, receipts, parse_device_keys(device_key), ())
    found = audit.examined
    if not found.intact:
        raise ToolError(f"{ledger_dir}: was touched, nothing can be proven: {audit.findings[0]}")
    head = _newest_head(ledger_dir)
    if not found.first <= record < head.value.size:
        raise UsageError(f"--record {record}: signed records are {found.first} to {head.value.size - 1}.")
    entry = next(located.entry for located in found.records if located.entry.number == record)
    path = tuple(step.hex() for step in found.tree().inclusion(record, head.value.size))
    proof = Proof(1, encode_entry(entry).hex(), path, head.encode().hex())
    output.write_bytes(msgspec.json.format(msgspec.json.encode(proof)) + b"\n")
    print(f"Record {record} of {head.value.size}, {type(entry.fact).__name__}: {output}")
    return 0


def check(
    proof: Path,
    *,
    receipts: _Regions = (),
    device_key: tuple[str, ...] = (),
    as_json: Annotated[bool, Parameter(name="--json", negative="")] = False,
) -> int:
    """Check a proof that `fsdctl audit prove` wrote, and print its record.

    Example: fsdctl audit check 7.json --receipts ./cn

    Parameters
    ----------
    proof
        The proof.
    receipts
        Directories of regions, for the vehicle's public key.
    device_key
        Base64 of the vehicle's public key.
    as_json
        One JSON object.
    """
    entry, head = _checked(proof, known_keys(receipts, parse_device_keys(device_key)))
    about = {
        name: value.hex() if isinstance(value, bytes) else value
        for name, value in dataclasses.asdict(entry.fact).items()
    }
    kind = type(entry.fact).__name__
    if as_json:
        print(json.dumps({"record": entry.number, "wall_ns": entry.wall_ns, "kind": kind} | about))
    else:
        text = " ".join(f"{name}={value}" for name, value in about.items())
        print(f"record {entry.number}, {utc(entry.wall_ns)}: {kind} {text}")
        print(f"is in the ledger of device key {head.device_key_id} under root {head.root.hex()}")
    return 0


def _checked(file: Path, keys: dict[str, bytes]) -> tuple[Entry, Head]:
    try:
        proof = msgspec.json.decode(file.read_bytes(), type=Proof)
        record, head = bytes.fromhex(proof.record), decode_head(bytes.fromhex(proof.head))
        path = [bytes.fromhex(step) for step in proof.path]
        entry = decode_entry(record)
    except (msgspec.DecodeError, UnicodeDecodeError, LedgerFormatError, ValueError) as error:
        raise ToolError(f"{file}: {error}") from error
    fault = signature_fault(head, keys)
    if fault:
        raise ToolError(f"{file}: its head {fault}")
    if not verify_inclusion(leaf_hash(record), entry.number, head.value.size, path, head.value.root):
        raise ToolError(f"{file}: path: does not lead from record {entry.number} to the signed root")
    return entry, head.value


def _newest_head(folder: Path) -> Signed[Head]:
    """Of the newest file; the ledger was checked."""
    name, newest = read_ledger(folder)[0][-1]
    heads = [frame for frame in newest.frames if frame.kind == HEAD]
    if not heads:
        raise ToolError(f"{folder / name}: holds no signed head yet")
    return decode_head(heads[-1].body)
