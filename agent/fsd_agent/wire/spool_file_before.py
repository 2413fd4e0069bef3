r"""Spool files of versions 1 to 3, which a vehicle may still have on board: to be read, not written any more.

Behind the head (``wire.spool_head``) all of the sealed file is encrypted once more::

    ...    chunks: AES-256-GCM over 64 KiB of the sealed file each (the last one has what is left), each 16 bytes longer
    bytes  version 3: AES-256-GCM of the SHA-256 of each of the sealed file's pieces (``wire.pieces``), 16 bytes longer; version 2 has
           the SHA-256 of the whole instead, version 1 ends before it

A chunk's nonce is seven zero bytes, its number (u32, big-endian) and 1 for the last chunk, else 0; that of the hashes ends in
zero and 2. So none can be moved, dropped, or shown as another file's. A chunk is a piece.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag

from fsd_agent.wire.pieces import HASH_BYTES, PIECE_BYTES, FileIdentity, count_pieces, identity_of
from fsd_agent.wire.spool_head import TAG_BYTES, ReadAt, SpoolFileError, SpoolHead

_SEALED_CHUNK_BYTES = PIECE_BYTES + TAG_BYTES
_NONCE = struct.Struct(">7xIB")
_HASH_NONCE = _NONCE.pack(0, 2)


@dataclass(frozen=True, slots=True)
class ChunkedBody:
    """The sealed file in one of these; see :class:`fsd_agent.wire.spool_file.Body`."""

    head: SpoolHead
    read_at: ReadAt

    def identity(self) -> FileIdentity | None:
        """See the protocol; None of version 1."""
        header = self.head.header
        if header.v == 1:
            return None
        size = header.size
        hashes = 1 if header.v == 2 else count_pieces(size)
        at, count = self.head.body_at + size + count_pieces(size) * TAG_BYTES, hashes * HASH_BYTES + TAG_BYTES
        refused = "its hashes are damaged, cut short, or another file's"
        # The size is not proved yet, and may ask for any memory: so the file's end has to be where it says first.
        if len(self.read_at(at + count - 1, 2)) != 1:
            raise SpoolFileError(refused)
        try:
            opened = self.head.cipher.decrypt(_HASH_NONCE, self.read_at(at, count), self.head.bound)
        except InvalidTag as error:
            raise SpoolFileError(refused) from error
        return FileIdentity(opened) if header.v == 2 else FileIdentity(identity_of(size, opened), opened)

    def pieces(self, first: int, last: int) -> Iterator[bytes]:
        """See the protocol."""
        header = self.head.header
        size, end = header.size, count_pieces(header.size) - 1
        # In version 1 nothing comes behind the last one: what is there is read with it, and does not open.
        most = PIECE_BYTES if header.v == 1 or last < end else size - end * PIECE_BYTES
        count = (last - first) * _SEALED_CHUNK_BYTES + most + TAG_BYTES
        sealed = memoryview(self.read_at(self.head.body_at + first * _SEALED_CHUNK_BYTES, count))
        for number in range(first, last + 1):
            at = (number - first) * _SEALED_CHUNK_BYTES
            nonce = _NONCE.pack(number, number == end)
            try:
                yield self.head.cipher.decrypt(nonce, sealed[at : at + _SEALED_CHUNK_BYTES], self.head.bound)
            except InvalidTag as error:
                raise SpoolFileError(
                    f"chunk {number} is damaged, cut short, or another clip's or compartment's"
                ) from error
