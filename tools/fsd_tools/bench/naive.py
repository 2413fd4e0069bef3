"""The peer of ``fsdctl bench agent``: what a straightforward Python agent would do with the CAN frames.

Every frame is decoded with cantools as it comes, and twenty plain conditions are evaluated whenever a signal that
they read has changed. Run as ``python -m fsd_tools.bench.naive DRIVE SECONDS``; paced like the agent.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from cantools.database.can import Database

from fsd_firmware.drive.reader import DriveReader
from fsd_firmware.drive.replay import DriveReplay

Condition = Callable[[Mapping[str, float]], bool]


def main(argv: list[str]) -> None:
    """Play the drive for so many seconds."""
    path, seconds = Path(argv[0]), float(argv[1])
    database = Database(strict=False)
    database.add_dbc_string(DriveReader(path).attachments["vehicle.dbc"].decode())
    messages = {message.frame_id: message for message in database.messages}
    conditions = [_condition(200.0 + number) for number in range(20)]
    values: dict[str, float] = {}
    fired = 0
    replay = DriveReplay(path, speed="real", tick_ns=50_000_000, loop=True)
    ends = time.monotonic() + seconds
    while time.monotonic() < ends and (batch := replay.poll()) is not None:
        frames = batch.can
        for can_id, length, data in zip(frames.can_id, frames.length, frames.data, strict=True):
            message = messages.get(int(can_id) & 0x1FFF_FFFF)
            if message is None:
                continue
            decoded = message.decode_simple(bytes(data[:length]), decode_choices=False)
            named = {f"{message.name}.{name}": float(value) for name, value in decoded.items()}  # type: ignore[arg-type] # choices are off
            changed = {name: value for name, value in named.items() if values.get(name) != value}
            if changed:
                values.update(changed)
                fired += sum(condition(values) for condition in conditions)
    print(fired)


def _condition(limit: float) -> Condition:
    return lambda values: (
        values.get("VEHICLE_SPEED.SPEED", 0.0) > limit and values.get("INERTIAL.ACCEL_LONG", 0.0) < -limit
    )


if __name__ == "__main__":
    main(sys.argv[1:])
