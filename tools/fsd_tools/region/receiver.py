"""The region's receiver, without a network: a message in, answers out.

It believes nothing but what it can check: the broker says which vehicle a message is from (the topic, bound to the
certificate by the ACL), the vehicle's key is the one it was enrolled with, and a clip is what its manifest says.

    init   stored with this hash, also if its retention is over by now: the receipt again; with another: refuse; else: what is missing
    seg    written at its offset, if it has its hash and fits the announced transfer; never answered
    fin    incomplete: what is missing; wrong hash: thrown away, everything is missing; else open, store, receipt

    firing  opened, kept once (:mod:`.firings`), then acknowledged; acknowledged again whenever it is told again
    status  the head of the vehicle's ledger that it carries is kept, then acknowledged

Clips that come by the public file convention are for :mod:`.file_transfers`, what is a clip at all for :mod:`.opening`.

A clip is stored, durably, before its receipt is signed. Signing is deterministic, so every receipt for a clip is the
same. A refusal ends a clip on the vehicle for good, so it is given only for what no restart, no disk and no key could
make acceptable; in any other trouble (unknown vehicle, unknown key, newer format, full disk) the receiver is silent,
tells its operator, and the vehicle asks again later.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable

from fsd_agent.ports.spool import SpoolError
from fsd_agent.wire.file_async import ROOT as FILE_ROOT
from fsd_agent.wire.firing import About, FiringError, UnknownFiringKeyError
from fsd_agent.wire.firing_ack import encode_firing_ack
from fsd_agent.wire.head_ack import encode_head_ack
from fsd_agent.wire.ledger import LedgerFormatError, LedgerSignatureError, decode_head
from fsd_agent.wire.status import StatusFormatError, decode_status
from fsd_agent.wire.transfer import (
    VERSION,
    DownKind,
    Fin,
    Have,
    Init,
    Topics,
    TransferError,
    UpAddress,
    UpKind,
    decode,
    encode,
    parse_firing,
    parse_status,
    parse_up,
)
from fsd_tools.errors import ToolError
from fsd_tools.region.file_transfers import FileTransfers
from fsd_tools.region.firings import FiringDesk, FiringStore
from fsd_tools.region.heads import HeadStore, HeadStoreError, Taken
from fsd_tools.region.incoming import Incoming, Transfer, Whole
from fsd_tools.region.layout import RegionDir
from fsd_tools.region.opening import Answer, HeldError, Opening, Owner, RefusedError, Tell, not_accepted
from fsd_tools.region.signing import read_signed
from fsd_tools.region.store import StoreError

OnEvent = Tell


class Receiver:
    """See the module. One thread at a time."""

    def __init__(
        self,
        region: RegionDir,
        *,
        wall_ns: Callable[[], int] = time.time_ns,
        on_event: OnEvent | None = None,
        hold_back: bool = False,
    ) -> None:
        """Read the region's policy and keys, and sweep what an interrupted store left.

        ``hold_back``: clips are stored, and receipted, where no reader looks, until the checker releases them (:mod:`.release`).
        ``on_event`` is told ``stored``, ``firing``, ``refused``, ``held``, ``ignored``, ``damaged`` and ``ledger_break``. Raises
        ``OSError``, ``PolicyError`` or ``KeyFileError``.
        """
        policy = read_signed(region)
        self.region_id = policy.region_id
        self._tell = on_event or (lambda _name, _fields: None)
        self._opening = Opening(region, policy.region_id, wall_ns, self._tell, hold_back=hold_back)
        self._incoming = Incoming(region.incoming)
        self._files = FileTransfers(region.incoming_files, policy.region_id, self._opening, self._tell)
        self._heads = HeadStore(region.heads)
        self._firings = FiringDesk(
            FiringStore(region.firings),
            sealing_keys=self._opening.sealing_keys,
            device_keys=self._opening.device_keys,
            wall_ns=wall_ns,
        )

    def handle(self, topic: str, payload: bytes) -> list[Answer]:
        """Take one message from the broker and give what is to be published."""
        vehicle = parse_status(self.region_id, topic)
        if vehicle is not None:
            return self._guarded({"vehicle": vehicle}, lambda: self._status(vehicle, payload))
        told = parse_firing(self.region_id, topic)
        if told is not None:
            of = About(self.region_id, *told)
            named: dict[str, str | int] = {"vehicle": of.vehicle, "firing": of.firing_id}
            return self._guarded(named, lambda: self._firing(of, payload))
        if topic.startswith(f"{FILE_ROOT}/"):
            return self._guarded({"topic": topic[:200]}, lambda: self._files.handle(topic, payload))
        try:
            address = parse_up(self.region_id, topic)
        except TransferError as error:
            self._tell("ignored", {"topic": topic[:200], "reason": str(error)})
            return []
        about: dict[str, str | int] = {"vehicle": address.vehicle, "clip": address.clip_id}
        return self._guarded(about, lambda: self._take(address, payload))

    def _guarded(self, about: dict[str, str | int], act: Callable[[], list[Answer]]) -> list[Answer]:
        """Tell what is wrong with a message; none must end the region for all."""
        try:
            return act()
        except UnknownFiringKeyError as error:
            self._tell("held", about | {"reason": str(error)})
        except (TransferError, StatusFormatError, LedgerFormatError, FiringError) as error:
            self._tell("ignored", about | {"reason": str(error)})
        except (HeldError, StoreError, HeadStoreError, SpoolError, ToolError) as error:
            self._tell("held", about | {"reason": str(error)})
        except OSError as error:
            self._tell("held", about | {"reason": f"{error.filename or 'disk'}: {error.strerror or error}"})
        except Exception as error:  # noqa: BLE001 - one message must not end the region for all; told, and held
            self._tell("held", about | {"reason": f"unexpected {type(error).__name__}: {error}"})
        return []

    def _status(self, vehicle: str, payload: bytes) -> list[Answer]:
        """Keep and acknowledge the head of the vehicle's ledger; the rest of its status is for operators."""
        told = decode_status(payload).ledger_head
        if not told:
            return []
        self._opening.check_enrolled(vehicle)
        signed = decode_head(told)
        device_key = self._opening.device_keys(vehicle).get(signed.value.device_key_id)
        if device_key is None:
            raise HeldError(f"the ledger's head is {not_accepted(signed.value.device_key_id)}")
        try:
            signed.verify(device_key)
        except LedgerSignatureError as error:
            raise LedgerFormatError(f"the ledger's head is {error}") from error
        taken = self._heads.take(vehicle, signed)
        if taken in {Taken.BREAK, Taken.TOO_MANY_BREAKS}:
            self._tell("ledger_break", {"vehicle": vehicle, "size": signed.value.size, "taken": str(taken)})
        if not taken.kept:
            return []
        head = signed.value
        ack = encode_head_ack(
            region_id=self.region_id,
            vehicle=vehicle,
            size=head.size,
            root=head.root,
            private_key=self._opening.receipt_key,
        )
        return [(Topics(self.region_id, vehicle).head_ack, ack)]

    def _firing(self, of: About, payload: bytes) -> list[Answer]:
        """Keep what the vehicle tells of a firing; its word counts once it is durable here."""
        self._opening.check_enrolled(of.vehicle)
        told = self._firings.take(of, payload)
        if told is not None:
            what = {"vehicle": of.vehicle, "firing": of.firing_id, "campaign": told.campaign_id}
            self._tell("firing", {**what, "clip": told.clip_id or "", "reason": str(told.drop or "")})
        ack = encode_firing_ack(of, self._opening.receipt_key)
        return [(Topics(self.region_id, of.vehicle).firing_ack, ack)]

    def _take(self, address: UpAddress, payload: bytes) -> list[Answer]:
        if address.kind is UpKind.SEGMENT:
            self._segment(address, payload)
            return []
        self._opening.check_enrolled(address.vehicle)
        if address.kind is UpKind.INIT:
            return [self._question(address, decode(Init, payload))]
        return [self._question(address, decode(Fin, payload))]

    def _segment(self, address: UpAddress, payload: bytes) -> None:
        if (
            hashlib.sha256(payload).digest() != address.sha256
        ):  # It stays missing, and the answer to the fin says so
            where: dict[str, str | int] = {"vehicle": address.vehicle, "clip": address.clip_id}
            self._tell("damaged", where | {"offset": address.offset})
            return
        transfer = self._incoming.find(address.vehicle, address.clip_id)
        # None: of a clip that was stored meanwhile, or announced before we lost our files. The fin will tell.
        if transfer is not None and not transfer.write(address.offset, payload):
            raise TransferError(
                f"segment at {address.offset} of {len(payload)} bytes does not fit its transfer"
            )

    def _question(self, address: UpAddress, message: Init | Fin) -> Answer:
        owner, whole = Owner(address.vehicle, address.clip_id), Whole.of(message)
        try:
            stored = self._opening.stored(owner, whole)
            if stored is None:
                transfer = self._incoming.begin(owner.vehicle, owner.clip_id, whole)
                if isinstance(message, Init) or not transfer.complete:
                    return self._have(address, message, transfer)
                stored = self._opening.conclude(owner, transfer)
                self._incoming.discard(owner.vehicle, owner.clip_id)
            if stored is None:
                transfer = self._incoming.begin(owner.vehicle, owner.clip_id, whole)
                return self._have(address, message, transfer)
        except RefusedError as error:
            self._incoming.discard(owner.vehicle, owner.clip_id)
            return self._opening.refusal(owner, whole, error)
        return self._opening.receipt(owner, whole, stored)

    def _have(self, address: UpAddress, message: Init | Fin, transfer: Transfer) -> Answer:
        have = Have(v=VERSION, ask=message.ask, sha256=message.sha256, missing=transfer.missing())
        return Topics(self.region_id, address.vehicle).down(DownKind.HAVE, address.clip_id), encode(have)
