"""A server of the public file convention in memory, behind a :class:`fsd_agent.testing.broker.MemoryBroker`.

It behaves as the convention's own server does: it knows a transfer by client and file id, checks the hash that a segment's
topic has, puts segments together at the fin, says what became of each command, answers a fin that is repeated with success,
and can't be asked what it has. What it has put together goes to the region's side, which signs a receipt.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from fsd_agent.records.clip import Receipt
from fsd_agent.records.region import Route, TransferProfile
from fsd_agent.testing.region import STORED_WALL_NS
from fsd_agent.testing.regions import sample_region
from fsd_agent.wire.file_async import (
    FileCommand,
    FileResult,
    decode_init,
    encode_result,
    parse_file,
    response_topic,
)
from fsd_agent.wire.receipt import encode_receipt
from fsd_agent.wire.transfer import DownKind, Topics, TransferError, UpKind

FAILED = 0x80


@dataclass(slots=True)
class _File:
    size: int
    checksum: bytes
    parts: dict[int, bytes] = field(default_factory=dict)

    def whole(self) -> bytes | None:
        data = b""
        for offset in sorted(self.parts):
            if offset != len(data):
                return None
            data += self.parts[offset]
        return data if hashlib.sha256(data).digest() == self.checksum else None


class MemoryFileServer:
    """See the module. One client; :meth:`handle` is a :data:`fsd_agent.testing.broker.Listener`."""

    def __init__(self, vehicle: str = "car-1", *, port: int = 8883) -> None:
        self.sample = sample_region(port=port, transfer=TransferProfile.FILE_ASYNC)
        self.stored: dict[str, bytes] = {}
        """What was put together, by file id."""
        self.receipts = True
        """Whether the region's side signs for it at once."""
        self.commands: list[FileCommand] = []
        """Everything that came."""
        self._vehicle = vehicle
        self._files: dict[str, _File] = {}
        self._identities: dict[str, bytes] = {}

    def route(self) -> Route:
        """The vehicle's route to this region."""
        return self.sample.route(self._vehicle)

    def expire(self) -> None:
        """Throw segments away, as after a day."""
        self._files.clear()

    def handle(self, topic: str, payload: bytes) -> list[tuple[str, bytes]]:
        """Take one message, give the answers."""
        command = parse_file(topic)
        self.commands.append(command)
        answers = []
        try:
            self._do(command, payload)
        except TransferError as error:
            return [self._result(topic, FAILED, str(error))]
        answers.append(self._result(topic, 0, "success"))
        if command.kind is UpKind.FIN and self.receipts:
            answers.append(self.receipt(command.clip_id))
        return answers

    def receipt(self, clip_id: str) -> tuple[str, bytes]:
        """The region's, for a file that was put together."""
        receipt = Receipt(clip_id, "cn", self._vehicle, self._identities[clip_id], STORED_WALL_NS)
        topic = Topics("cn", self._vehicle).down(DownKind.RECEIPT, clip_id)
        return topic, encode_receipt(receipt, self.sample.receipt_key)

    def _do(self, command: FileCommand, payload: bytes) -> None:
        file = self._files.get(command.clip_id)
        if command.kind is UpKind.INIT:
            init = decode_init(payload)
            if file is None:
                self._files[command.clip_id] = _File(init.size, init.sha256)
                self._identities[command.clip_id] = init.identity
        elif command.kind is UpKind.SEGMENT:
            if hashlib.sha256(payload).digest() != command.sha256:
                raise TransferError("checksum mismatch")
            if file is None:
                raise TransferError("no such transfer")
            file.parts[command.offset] = payload
        elif command.clip_id not in self.stored:
            whole = file.whole() if file is not None else None
            if whole is None:
                raise TransferError("incomplete")
            self.stored[command.clip_id] = whole
            del self._files[command.clip_id]

    def _result(self, topic: str, code: int, text: str) -> tuple[str, bytes]:
        result = FileResult(topic=topic, reason_code=code, reason_description=text)
        return response_topic(self._vehicle), encode_result(result)
