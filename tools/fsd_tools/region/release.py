"""Between the receiver and the readers of the store: each clip is checked, then released or put into quarantine.

A clip is receipted when it is durable in ``unchecked``; the vehicle need not wait for the check, and may delete it. One clip after
another, the first received first, on a thread of its own with the lowest priority:

    passes                 moved into ``store``
    fails, or can't be     its report is written and durable beside where it will be, then it is moved into ``quarantine``
    looked at to the end
    the disk or a model    stays, is told as ``check_failed`` and tried again when the others had their turn
    fails as nobody foresaw

Stopped or killed anywhere, a clip is in one of the two places, or still in ``unchecked`` and checked again.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from fsd_agent.adapters.durable import make_folder, write_file
from fsd_agent.ports.checker import Checker
from fsd_agent.ports.spool import SpoolError
from fsd_agent.records.region import RedactionRules
from fsd_agent.wire.clip import ClipFormatError, decode_clip
from fsd_firmware.codec import VideoCodec
from fsd_tools.region.check import Looked, check_clip
from fsd_tools.region.layout import RegionDir
from fsd_tools.region.opening import Tell
from fsd_tools.region.store import ClipStore, StoreError

IDLE_S: Final = 5.0
"""Until it looks for clips again; also until one that could not be checked has another turn."""
NICE: Final = 19
REPORTED_MOST: Final = 200
"""Findings in a report; their number is told in full."""


class Report(msgspec.Struct, frozen=True):
    """``<clip id>.report``: why a clip is in quarantine."""

    clip: str
    vehicle: str
    frames: int
    checkers: dict[str, str]
    """Source to digest."""
    fault: str
    misses: dict[str, int]
    """How often each kind of miss was found."""
    findings: tuple[str, ...]


class Releaser:
    """See the module."""

    def __init__(
        self,
        region: RegionDir,
        rules: RedactionRules,
        codec: VideoCodec,
        checkers: Sequence[Checker],
        tell: Tell,
    ) -> None:
        """``tell`` gets ``released``, ``quarantined`` and ``check_failed``, on the releaser's thread."""
        self._unchecked, self._store = ClipStore(region.unchecked), ClipStore(region.store)
        self._quarantine = ClipStore(region.quarantine)
        self._rules, self._codec, self._checkers, self._tell = rules, codec, tuple(checkers), tell
        self._stop = threading.Event()
        self._resting: set[tuple[str, str]] = set()

    def run(self) -> None:
        """Until :meth:`stop`."""
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)
        while not self._stop.is_set():
            worked = self.step()
            self._stop.wait(0.0 if worked else IDLE_S)

    def stop(self) -> None:
        """Soon, in the middle of a clip, which is then checked again another time."""
        self._stop.set()

    def step(self) -> bool:
        """Check the clip that has waited longest; False when there is none."""
        waiting = [one for one in self._unchecked.clips() if one not in self._resting]
        if not waiting:
            self._resting.clear()
            return False
        vehicle, clip_id = waiting[0]
        try:
            self._check(vehicle, clip_id)
        except (OSError, SpoolError, StoreError) as error:
            self._put_off(vehicle, clip_id, str(error))
        except Exception as error:  # noqa: BLE001 - codecs and models are foreign: told, and the clip stays unreleased
            self._put_off(vehicle, clip_id, f"unexpected {type(error).__name__}: {error}")
        return True

    def _put_off(self, vehicle: str, clip_id: str, why: str) -> None:
        """Others have their turn."""
        self._resting.add((vehicle, clip_id))
        self._tell("check_failed", {"vehicle": vehicle, "clip": clip_id, "reason": why})

    def _check(self, vehicle: str, clip_id: str) -> None:
        for place in (self._quarantine, self._store):
            if place.find(vehicle, clip_id) is not None:  # A move that was interrupted: it was decided then
                self._unchecked.move(vehicle, clip_id, place)
                return
        looked = self._look(self._unchecked.root / vehicle / f"{clip_id}.mcap")
        if looked is None:
            return
        about: dict[str, str | int] = {"vehicle": vehicle, "clip": clip_id, "frames": looked.verdict.frames}
        if looked.passed:
            self._unchecked.move(vehicle, clip_id, self._store)
            self._tell("released", about)
            return
        folder = self._quarantine.root / vehicle
        make_folder(folder)
        write_file(folder / f"{clip_id}.report", (_text(self._report(vehicle, clip_id, looked)),))
        self._unchecked.move(vehicle, clip_id, self._quarantine)
        self._tell("quarantined", about | {"reason": looked.fault or looked.verdict.reason})

    def _look(self, path: Path) -> Looked | None:
        """None where it was stopped."""
        try:
            with path.open("rb") as file:
                clip = decode_clip(file, str(path))
        except ClipFormatError as error:
            raise StoreError(str(error)) from error
        return check_clip(clip, self._codec, self._checkers, self._rules, self._stop.is_set)

    def _report(self, vehicle: str, clip_id: str, looked: Looked) -> Report:
        findings = looked.verdict.findings
        counts: dict[str, int] = {}
        for one in findings:
            counts[str(one.miss)] = counts.get(str(one.miss), 0) + 1
        surest = sorted(findings, key=lambda one: -one.score)[:REPORTED_MOST]
        return Report(
            clip_id,
            vehicle,
            looked.verdict.frames,
            {one.source: one.digest for one in self._checkers},
            looked.fault,
            counts,
            tuple(str(one) for one in surest),
        )


def _text(report: Report) -> bytes:
    return msgspec.json.format(msgspec.json.encode(report)) + b"\n"
