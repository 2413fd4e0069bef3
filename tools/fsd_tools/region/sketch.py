"""What a region has enough of: made of the codes of the clips in its store, and told to its vehicles with each push.

A code comes into the sketch where at least ``enough`` clips of one subject lie within the limit of it, from at least
``vehicles`` different ones: what few have sent is nobody's business, and where only one vehicle goes every day is not told to others.
The code with the most clips first; those clips are then covered and count for no other. Of equal ones the first in order,
so that a store always gives the same sketch. At most ``SKETCH_MAX`` codes, those with the most clips.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from fsd_agent.adapters.durable import write_file
from fsd_agent.ports.spool import SpoolError
from fsd_agent.records.campaign import CampaignSet
from fsd_agent.records.novelty import SKETCH_MAX, ClipCode, NoveltyMode, Sketch, Subject
from fsd_agent.rules.selection.novelty import LIMITS, distances
from fsd_agent.wire.provenance import NO_CLIP, codes_in, read_provenance
from fsd_agent.wire.sketch import SKETCH_BYTES_MAX, SketchFormatError, decode_sketch, encode_sketch
from fsd_tools.errors import ToolError
from fsd_tools.region.layout import RegionDir

CLIPS_MOST: Final = 2000
"""Of one subject: comparing each with each takes a second and 150 MB. More are drawn evenly, by their codes."""


@dataclass(frozen=True, slots=True, order=True)
class Received:
    """A code of a clip that the region has."""

    code: ClipCode
    vehicle: str


def received_codes(store: Path, unread: Callable[[str], None]) -> Iterator[Received]:
    """Of every clip that carries one; ``unread`` is told of each that can't be read, and why: the others count without it."""
    for about in sorted(store.glob("*/*.json")):
        clip = about.with_suffix(".mcap")
        try:
            with clip.open("rb") as file:
                vehicle, codes = codes_in(read_provenance(file))
        except FileNotFoundError:  # Its retention ended meanwhile
            continue
        except (OSError, *NO_CLIP) as error:
            unread(f"{clip}: {error}")
            continue
        yield from (Received(code, vehicle) for code in codes)


def build_sketch(region_id: str, received: Iterable[Received], *, enough: int, vehicles: int) -> Sketch:
    """See the module."""
    by_subject: dict[Subject, list[Received]] = {}
    for one in sorted(received):
        by_subject.setdefault(one.code.subject, []).append(one)
    found = [pair for some in by_subject.values() for pair in _covered(some, enough, vehicles)]
    most = sorted(found, key=lambda pair: (-pair[0], pair[1]))[:SKETCH_MAX]
    return Sketch(region_id, tuple(sorted(code for _, code in most)))


def write_sketch(region: RegionDir, sketch: Sketch) -> int:
    """Keep it for the next push; its size in bytes. Raises :class:`ToolError`."""
    try:
        data = encode_sketch(sketch)
        write_file(region.sketch, [data])
    except (SketchFormatError, SpoolError) as error:
        raise ToolError(f"{region.sketch}: {error}") from None
    except OSError as error:
        raise ToolError(f"{region.sketch}: {error.strerror}") from None
    return len(data)


def read_sketch(region: RegionDir, region_id: str) -> Sketch | None:
    """What was kept; None where there is none. Raises :class:`ToolError` for a damaged one and another region's."""
    try:
        with region.sketch.open("rb") as file:
            sketch = decode_sketch(file.read(SKETCH_BYTES_MAX + 1))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ToolError(f"{region.sketch}: {error.strerror}") from None
    except SketchFormatError as error:
        raise ToolError(f"{region.sketch}: {error}") from None
    if sketch.region_id != region_id:
        raise ToolError(f"{region.sketch}: of region {sketch.region_id!r}, this is {region_id!r}")
    return sketch


def sketch_for(campaigns: CampaignSet, sketch: Sketch | None) -> Sketch | None:
    """As far as it is about the set's campaigns; None where nothing is."""
    ids = {one.id for one in campaigns.campaigns if one.novelty is not NoveltyMode.OFF}
    codes = tuple(code for code in sketch.codes if code.subject.campaign_id in ids) if sketch else ()
    return Sketch(campaigns.region_id, codes) if codes else None


def _covered(received: list[Received], enough: int, vehicles: int) -> Iterator[tuple[int, ClipCode]]:
    """How many clips each code of the sketch covers, and the code; all of one subject."""
    received = received[:: -(-len(received) // CLIPS_MOST)]
    codes = [one.code for one in received]
    near = distances(codes, codes) <= LIMITS[codes[0].subject.maker, NoveltyMode.NORMAL]
    names = np.array([one.vehicle for one in received])
    left = np.ones(len(codes), bool)
    refused = np.zeros(len(codes), bool)
    while True:
        counts = np.where(left & ~refused, (near & left).sum(axis=1), 0)
        at = int(counts.argmax())
        if counts[at] < enough:
            return
        covers = near[at] & left
        if np.unique(names[covers]).shape[0] < vehicles:
            refused[at] = True
            continue
        left &= ~covers
        yield int(counts[at]), codes[at]
