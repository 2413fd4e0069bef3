"""The redaction of a clip in plain words: what was removed, by what, how sure that is, and what is still in the clip."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from fsd_agent.wire.box_counts import BoxCountError, decode_counts
from fsd_tools.clip.sure import sure_in_words
from fsd_tools.rights.words import removed_in_words

Lines = Iterator[tuple[str, str]]


def account_lines(facts: Mapping[str, Any]) -> Lines:
    """(name, text) for a table; ``facts`` are those of ``clip.info``."""
    record = facts["redaction"]
    yield "removed", ", ".join(removed_in_words(record["rules"], record["location"])) or "nothing"
    yield from _by(record)
    if record.get("looked_again"):
        yield "", f"{record['looked_again']} frames a second time, where somebody may have been missed"
    yield "how sure", sure_in_words(record["sources"], record["rules"])
    yield "checked", _checked(record.get("check"))
    yield from _filled(record)
    yield "still in it", ", ".join(_left(facts))


def _by(record: Mapping[str, Any]) -> Lines:
    """Each source; of records of the first version the names alone."""
    known = {one["source"]: one for one in record.get("models", ())}
    for source in record["sources"] or ["nobody"]:
        one = known.get(source)
        if one is None:
            yield "by", source
            continue
        scores = ", ".join(_score(score) for score in one["scores"])
        package = f"; package {one['digest'][:16]}" if one["digest"] else ""
        yield "by", f"{source}: {one['looks']} looks; {scores}{package}"


def _score(score: Mapping[str, Any]) -> str:
    if score["alone"] == score["confirmed"]:
        return f"{score['shows']}s from {score['alone']:g}"
    return (
        f"{score['shows']}s from {score['alone']:g}, {score['confirmed']:g} where another model saw the same"
    )


def _checked(check: Mapping[str, Any] | None) -> str:
    if check is None:
        return "by nobody on the vehicle"
    again = f"; redacted a second time with strict rules: {check['again']}" if check["again"] else ""
    by = ", ".join(check["sources"]) or "no other model, that what was seen is black"
    return f"{check['frames']} frames again after encoding, by {by}{again}"


def _filled(record: Mapping[str, Any]) -> Lines:
    yield (
        "filled",
        f"{record['boxes']} rectangles in {record['frames']} frames, {record['filled_share']:.1%} of all pixels",
    )
    for camera in record.get("cameras", ()):
        most = _most(camera["counts"])
        yield (
            "",
            f"{camera['camera']}: {camera['filled_share']:.1%} of {camera['width']}x{camera['height']}, {most} a frame",
        )


def _most(counts: str) -> str:
    try:
        each = decode_counts(counts)
    except BoxCountError:
        return "a count that can't be read"
    return f"{each.min()} to {each.max()} rectangles" if each.size else "no rectangles"


def _left(facts: Mapping[str, Any]) -> Iterator[str]:
    cameras = ", ".join(camera["name"] for camera in facts["cameras"])
    yield f"video of {cameras}" if cameras else "no video"
    samples = sum(signal["samples"] for signal in facts["signals"])
    yield f"{samples} samples of {len(facts['signals'])} signals"
    yield f"{sum(facts['annotations']['boxes'].values())} detections in {facts['annotations']['frames']} frames"
    yield f"{len(facts['firings'])} firings with what they saw"
    yield f"{facts['fixes']} positions ({facts['redaction']['location']})"
    if facts["redaction"].get("utc_offset_h") is not None:
        yield "the time zone"
