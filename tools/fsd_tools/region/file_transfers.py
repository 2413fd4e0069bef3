"""Clips that come by the public file convention (:mod:`fsd_agent.wire.file_async`), a message in, answers out.

The topics name no vehicle and a relaying broker tells none, so an init's claim only says where to look:

    init   stored with this hash already: the receipt again; else a transfer for this vehicle, whole and list of segments
    seg    written to each transfer of this file id whose list has its hash at this offset; to none: nobody announced it
    fin    incomplete, or the whole has another hash: a failure, as the convention has it; else open, store, receipt

Two devices that use one file id, or one that poses as another, are two transfers, and neither's bytes get into the other's:
a segment must have the hash that the init listed. Whose clip it is, its manifest says, signed by the device; a claim that
differs is refused for that very hash, which is nobody else's. A vehicle that turned hostile can push the started transfers of
another out of their places (the convention gives brokers no way to tell them apart): that costs bytes, never a clip.

There is no result for success: the receipt is it.

Beside :mod:`.incoming`'s two files lies ``<clip id>-<digest>.list``: 16 bytes a segment, as the init had them, then the SHA-256 of
the whole, which the fin names.
"""

from __future__ import annotations

import hashlib
import os
from collections import defaultdict
from pathlib import Path

from fsd_agent.wire.file_async import (
    PREFIX_BYTES,
    FileCommand,
    FileInit,
    FileResult,
    decode_init,
    encode_result,
    parse_file,
    response_topic,
)
from fsd_agent.wire.pieces import HASH_BYTES
from fsd_agent.wire.transfer import TransferError, UpKind
from fsd_tools.region.incoming import Incoming, Transfer, Whole
from fsd_tools.region.opening import Answer, Opening, Owner, RefusedError, Tell

FAILED = 0x80
"""Unspecified error (MQTT 5, section 2.4)."""


class FileTransfers:
    """See the module. Raises what :class:`.opening.Opening` raises, and :class:`TransferError`."""

    def __init__(self, root: Path, region_id: str, opening: Opening, tell: Tell) -> None:
        self._root = root
        self._region_id = region_id
        self._opening = opening
        self._tell = tell
        self._incoming = Incoming(root, on_discard=self._discarded)
        self._known: dict[str, set[tuple[str, str]]] = defaultdict(set)
        """By file id: (vehicle, key) of its transfers."""
        for path in root.glob("*/*.list"):
            self._known[path.stem.partition("-")[0]].add((path.parent.name, path.stem))

    def handle(self, topic: str, payload: bytes) -> list[Answer]:
        """Take one message from the broker and give what is to be published."""
        command = parse_file(topic)
        if command.kind is UpKind.INIT:
            return self._init(command.clip_id, decode_init(payload))
        if command.kind is UpKind.FIN:
            return self._fin(topic, command)
        self._segment(command, payload)
        return []

    def _init(self, clip_id: str, init: FileInit) -> list[Answer]:
        claim = init.user_data
        if claim.region != self._region_id:
            raise TransferError(
                f"FileInit: user_data.region is {claim.region!r}, this is {self._region_id!r}"
            )
        self._opening.check_enrolled(claim.vehicle)
        owner = Owner(claim.vehicle, clip_id)
        whole = Whole(init.size, claim.segment_bytes, init.identity)
        try:
            stored = self._opening.stored(owner, whole)
        except RefusedError as error:
            return [self._opening.refusal(owner, whole, error)]
        if stored is not None:
            return [self._opening.receipt(owner, whole, stored)]
        key = f"{clip_id}-{_digest(whole, claim.segments + init.sha256)}"
        self._incoming.begin(claim.vehicle, key, whole)
        self._list(claim.vehicle, key).write_bytes(claim.segments + init.sha256)
        self._known[clip_id].add((claim.vehicle, key))
        return []

    def _segment(self, command: FileCommand, payload: bytes) -> None:
        if (
            hashlib.sha256(payload).digest() != command.sha256
        ):  # It stays missing, and the answer to the fin says so
            self._tell("damaged", {"vehicle": "", "clip": command.clip_id, "offset": command.offset})
            return
        transfers = self._transfers(command.clip_id)
        wanted = [
            transfer
            for vehicle, key, transfer in transfers
            if self._listed(vehicle, key, transfer, command) and transfer.write(command.offset, payload)
        ]
        if transfers and not wanted:
            raise TransferError(
                f"segment at {command.offset} of {len(payload)} bytes is of no file that was announced"
            )

    def _fin(self, topic: str, command: FileCommand) -> list[Answer]:
        found = [
            one
            for one in self._transfers(command.clip_id)
            if one[2].whole.size == command.size and self._ends(*one) == command.sha256
        ]
        if not found:
            raise TransferError(
                f"the end of file {command.clip_id}, which was not announced or is stored already"
            )
        return [self._conclude(topic, command.clip_id, *one) for one in found]

    def _conclude(self, topic: str, clip_id: str, vehicle: str, key: str, transfer: Transfer) -> Answer:
        if not transfer.complete:
            return _failure(topic, vehicle, "segments are missing")
        owner = Owner(vehicle, clip_id)
        try:
            stored = self._opening.stored(owner, transfer.whole) or self._opening.conclude(owner, transfer)
        except RefusedError as error:
            self._incoming.discard(vehicle, key)
            return self._opening.refusal(owner, transfer.whole, error)
        self._incoming.discard(vehicle, key)
        if stored is None:
            return _failure(topic, vehicle, "the whole has another SHA-256")
        return self._opening.receipt(owner, transfer.whole, stored)

    def _transfers(self, clip_id: str) -> list[tuple[str, str, Transfer]]:
        """(vehicle, key, transfer) of everything that is under way with this file id."""
        known = sorted(self._known.get(clip_id, ()))
        found = [(vehicle, key, self._incoming.find(vehicle, key)) for vehicle, key in known]
        return [(vehicle, key, transfer) for vehicle, key, transfer in found if transfer is not None]

    def _listed(self, vehicle: str, key: str, transfer: Transfer, command: FileCommand) -> bool:
        """Whether the init listed this segment's hash at its place."""
        number = command.offset // transfer.whole.segment_bytes
        return number < transfer.whole.segments and (
            self._said(vehicle, key, number * PREFIX_BYTES, PREFIX_BYTES) == command.sha256[:PREFIX_BYTES]
        )

    def _ends(self, vehicle: str, key: str, transfer: Transfer) -> bytes:
        """The SHA-256 of the whole, as the init had it."""
        return self._said(vehicle, key, transfer.whole.segments * PREFIX_BYTES, HASH_BYTES)

    def _said(self, vehicle: str, key: str, offset: int, length: int) -> bytes:
        descriptor = os.open(self._list(vehicle, key), os.O_RDONLY | os.O_CLOEXEC)
        try:
            return os.pread(descriptor, length, offset)
        finally:
            os.close(descriptor)

    def _discarded(self, vehicle: str, key: str) -> None:
        """It has come to its end, or made room for another of its vehicle."""
        self._list(vehicle, key).unlink(missing_ok=True)
        clip_id = key.partition("-")[0]
        known = self._known.get(clip_id, set())
        known.discard((vehicle, key))
        if not known:
            self._known.pop(clip_id, None)

    def _list(self, vehicle: str, key: str) -> Path:
        return self._root / vehicle / f"{key}.list"


def _digest(whole: Whole, segments: bytes) -> str:
    """Tells transfers apart that use one file id."""
    head = whole.size.to_bytes(8, "big") + whole.segment_bytes.to_bytes(4, "big")
    return hashlib.sha256(head + whole.sha256 + segments).hexdigest()[:32]


def _failure(topic: str, vehicle: str, reason: str) -> Answer:
    return response_topic(vehicle), encode_result(
        FileResult(topic=topic, reason_code=FAILED, reason_description=reason)
    )
