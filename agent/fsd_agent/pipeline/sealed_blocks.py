"""A whole sealed file, block by block, and whether it is what was sealed: who sends it and who looks for damage ask here."""

from __future__ import annotations

from collections.abc import Iterator

from fsd_agent.ports.spool import RegionSpool, SpoolDamagedError
from fsd_agent.records.clip import ClipRow
from fsd_agent.wire.pieces import digest_like


def sealed_blocks(spool: RegionSpool, row: ClipRow, block_bytes: int) -> Iterator[tuple[bytes, ...]]:
    """Blocks of ``block_bytes``, each in parts, the last may be shorter; after it size and hash are compared with the journal's ``row``.

    Then nothing of the file was left unread.

    Raises :class:`SpoolDamagedError` naming the clip and what differs, and what reading raises.
    """
    says = spool.identity(row.purpose, row.clip_id)
    digest, done = digest_like(says), 0
    while block := spool.parts(row.purpose, row.clip_id, done, block_bytes):
        for part in block:
            digest.update(part)
            done += len(part)
        yield block
    if done != row.size_bytes:
        raise SpoolDamagedError(f"clip {row.clip_id}: {done} bytes on disk, {row.size_bytes} were sealed")
    if digest.digest() != row.sha256 or (says is not None and says.sha256 != row.sha256):
        raise SpoolDamagedError(f"clip {row.clip_id}: SHA-256 of the file is not that of what was sealed")
