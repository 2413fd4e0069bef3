"""What the beginning of a spool file may say, and what is refused before anything else is read."""

from __future__ import annotations

import msgspec
import pytest

from fsd_agent.records.purpose import Purpose
from fsd_agent.wire.pieces import PIECE_BYTES
from fsd_agent.wire.spool_head import SpoolFileError, read_header

SOUND: dict[str, object] = {
    "v": 4,
    "region_id": "eu",
    "purpose": "safety",
    "clip_id": "ab" * 16,
    "size": 6,
    "salt": bytes(32),
}


def start(**changed: object) -> bytes:
    """A file's beginning that says this."""
    body = msgspec.msgpack.encode({**SOUND, **changed})
    return b"FSDSPOL1" + len(body).to_bytes(4, "big") + body


@pytest.mark.parametrize(
    "changed",
    [
        *({"v": version} for version in (1, 2, 3, 4)),
        *({"region_id": one} for one in ("a", "0", "-", "z" * 32)),
        *({"purpose": str(one)} for one in Purpose),
        {"clip_id": "0123456789abcdef" * 2},
        *({"size": size} for size in (0, 2**32 * PIECE_BYTES)),
    ],
)
def test_what_a_header_may_say(changed: dict[str, object]) -> None:
    header = read_header(start(**changed) + b"what comes behind it")
    for name, value in changed.items():
        assert getattr(header, name) == value


@pytest.mark.parametrize(
    ("changed", "where"),
    [
        *(({"v": version}, "v") for version in (0, 5, "4")),
        *(
            ({"region_id": one}, "region_id")
            for one in ("", "z" * 33, "EU", "eu\n", "\neu", "!eu", "eu/..", "e u", 1)
        ),
        ({"purpose": "fun"}, "purpose"),
        *(
            ({"clip_id": one}, "clip_id")
            for one in ("ab" * 15, "ab" * 17, "AB" * 16, "ab" * 16 + "\n", "-" + "ab" * 16, "g" * 32)
        ),
        *(({"size": size}, "size") for size in (-1, 2**32 * PIECE_BYTES + 1, 0.5)),
        *(({"salt": bytes(count)}, "salt") for count in (0, 31, 33)),
        ({"more": 1}, "unknown field `more`"),
    ],
)
def test_what_it_may_not_say(changed: dict[str, object], where: str) -> None:
    with pytest.raises(SpoolFileError, match=f"^header: .*{where}"):
        read_header(start(**changed))


@pytest.mark.parametrize("name", SOUND)
def test_nothing_may_be_missing(name: str) -> None:
    body = msgspec.msgpack.encode({key: value for key, value in SOUND.items() if key != name})
    with pytest.raises(SpoolFileError, match=f"^header: .*missing required field `{name}`"):
        read_header(b"FSDSPOL1" + len(body).to_bytes(4, "big") + body)


@pytest.mark.parametrize(
    ("length", "says"),
    [
        (0, "^header: "),
        (511, "^header: "),
        (512, "^header: "),
        (513, r"^a header of 513 bytes, at most 512$"),
    ],
)
def test_a_header_is_no_longer_than_that(length: int, says: str) -> None:
    with pytest.raises(SpoolFileError, match=says):
        read_header(b"FSDSPOL1" + length.to_bytes(4, "big") + bytes(length))


def test_a_file_that_ends_in_its_header() -> None:
    for end in range(8, 12):
        with pytest.raises(SpoolFileError, match=r"^ends in its header$"):
            read_header(start()[:end])
    for end in range(12, len(start())):
        with pytest.raises(SpoolFileError, match=r"^header: "):
            read_header(start()[:end])
