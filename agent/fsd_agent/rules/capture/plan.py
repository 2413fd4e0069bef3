"""Which clip a kept firing belongs to, and when a clip is whole.

Rule. A firing asks for ``[t - before, t + after)``. It joins the first open clip of its own region and purpose
whose window it touches and which was still open at ``t`` (``t < end``), if the joined window is no longer than
``Limits.max_clip_ns``; otherwise it opens a clip of its own. A clip closes when everything before its end has
been sensed. Event time alone decides, so the outcome does not depend on how the input was cut into batches.

A joined clip takes the union of windows, cameras and signals, the highest priority and the widest link rule. What it gained for the
time that was already staged comes from the ring as backfill, as far as the ring still has it.

Region and purpose are fixed when the clip opens: a firing under others never joins it. A camera that the purpose has no part in
(``rules.cabin``) is left out of the row, so that nothing of it is ever staged.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from fsd_agent.records.campaign import CaptureSpec
from fsd_agent.records.clip import ClipRow, ClipState
from fsd_agent.records.firing import Firing, JudgedFiring, Telling
from fsd_agent.records.link_rule import SAYS_NOTHING, LinkRule, wider
from fsd_agent.records.purpose import Compartment, Purpose
from fsd_agent.rules.cabin import may_show


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of capture."""

    max_clip_ns: int = 60_000_000_000
    """Longest window that joining may make. Redaction decodes and encodes a clip in one go, and a failed or lost
    clip is lost whole, so a condition that fires all day becomes many clips. One firing's own window may be
    longer: what a campaign asks for is never cut short here."""


@dataclass(frozen=True, slots=True)
class KeptFiring:
    """A firing that selection has let through, with what it asks for."""

    firing_id: str
    firing: Firing
    wall_ns: int
    capture: CaptureSpec
    priority: int
    purpose: Purpose
    """Of its campaign."""
    link: LinkRule = SAYS_NOTHING
    """Of its campaign."""
    telling: Telling | None = None
    """What its region may be told of it at once."""

    @property
    def start_ns(self) -> int:
        """Begin of the window, inclusive."""
        return self.firing.t_ns - self.capture.before_ns

    @property
    def end_ns(self) -> int:
        """End of the window, exclusive."""
        return self.firing.t_ns + self.capture.after_ns


@dataclass(frozen=True, slots=True)
class Window:
    """A piece to take from the ring: ``ring.window(start_ns, end_ns, cameras, signals, lead_in=lead_in)``."""

    start_ns: int
    end_ns: int
    cameras: tuple[str, ...]
    signals: tuple[str, ...]
    lead_in: bool
    """Also what is needed to begin here: packets from the last key frame, each signal's last value."""


@dataclass(frozen=True, slots=True)
class OpenClip:
    """A clip whose window is still open."""

    row: ClipRow
    staged_until_ns: int
    """Everything of the row's cameras and signals in ``[start_ns, staged_until_ns)`` is staged."""


@dataclass(frozen=True, slots=True)
class Open:
    """Begin this clip and stage ``window``."""

    row: ClipRow
    firings: tuple[JudgedFiring, ...]
    window: Window


@dataclass(frozen=True, slots=True)
class Extend:
    """Widen this clip to ``row`` and stage ``backfill``, which may repeat what is staged already."""

    row: ClipRow
    firings: tuple[JudgedFiring, ...]
    """Only those that joined now."""
    backfill: tuple[Window, ...]


@dataclass(frozen=True, slots=True)
class Close:
    """Everything of this clip has been sensed: stage its rest (:func:`rest`), then it is captured."""

    clip_id: str


Decision = Open | Extend | Close


@dataclass(slots=True)
class _Draft:
    """One clip while the firings of this step are laid into it."""

    row: ClipRow
    before: OpenClip | None
    firings: list[JudgedFiring]


def plan(
    open_clips: Sequence[OpenClip],
    kept: Sequence[KeptFiring],
    *,
    until_ns: int,
    region_id: str,
    wall_minus_mono_ns: int,
    new_id: Callable[[], str],
    limits: Limits,
) -> tuple[Decision, ...]:
    """Lay ``kept`` into clips and close what is whole, given that everything before ``until_ns`` is sensed.

    Opens and extensions come first, then closings; a clip may be opened and closed in one step. ``new_id``
    gives a fresh clip id at each call. The firings' order does not matter.
    """
    drafts = [_Draft(clip.row, clip, []) for clip in open_clips]
    for one in sorted(kept, key=lambda k: (k.firing.t_ns, k.firing.campaign_id, k.firing_id)):
        draft = _joinable(drafts, one, region_id, limits)
        if draft is None:
            draft = _Draft(_fresh_row(one, new_id(), region_id, wall_minus_mono_ns), None, [])
            drafts.append(draft)
        else:
            draft.row = _widened(draft.row, one)
        draft.firings.append(
            JudgedFiring(
                one.firing_id,
                one.firing,
                one.wall_ns,
                clip_id=draft.row.clip_id,
                drop=None,
                region_id=region_id,
                telling=one.telling,
            )
        )
    changed = tuple(_decision(draft, until_ns) for draft in drafts if draft.firings)
    return changed + tuple(Close(draft.row.clip_id) for draft in drafts if draft.row.end_ns <= until_ns)


def rest(clip: OpenClip, until_ns: int) -> Window | None:
    """What was sensed since the clip was last staged, or None. Pass the widened row after an :class:`Extend`."""
    end_ns = min(clip.row.end_ns, until_ns)
    if end_ns <= clip.staged_until_ns:
        return None
    return Window(clip.staged_until_ns, end_ns, clip.row.cameras, clip.row.signals, lead_in=False)


def _joinable(drafts: Sequence[_Draft], one: KeptFiring, region_id: str, limits: Limits) -> _Draft | None:
    for draft in drafts:
        row = draft.row
        touches = row.start_ns <= one.end_ns and one.start_ns <= row.end_ns and one.firing.t_ns < row.end_ns
        length_ns = max(row.end_ns, one.end_ns) - min(row.start_ns, one.start_ns)
        fits = length_ns <= max(limits.max_clip_ns, row.end_ns - row.start_ns)
        if row.compartment == Compartment(region_id, one.purpose) and touches and fits:
            return draft
    return None


def _fresh_row(one: KeptFiring, clip_id: str, region_id: str, wall_minus_mono_ns: int) -> ClipRow:
    return ClipRow(
        clip_id=clip_id,
        region_id=region_id,
        purpose=one.purpose,
        state=ClipState.STAGED,
        start_ns=one.start_ns,
        end_ns=one.end_ns,
        wall_minus_mono_ns=wall_minus_mono_ns,
        cameras=_union((), _cameras(one)),
        signals=_union((), one.capture.signals),
        priority=one.priority,
        link=one.link,
    )


def _widened(row: ClipRow, one: KeptFiring) -> ClipRow:
    return replace(
        row,
        start_ns=min(row.start_ns, one.start_ns),
        end_ns=max(row.end_ns, one.end_ns),
        cameras=_union(row.cameras, _cameras(one)),
        signals=_union(row.signals, one.capture.signals),
        priority=max(row.priority, one.priority),
        link=wider(row.link, one.link),
    )


def _cameras(one: KeptFiring) -> tuple[str, ...]:
    """What it asks for without what its purpose has no part in: that is not even staged."""
    return tuple(camera for camera in one.capture.cameras if may_show(camera, one.purpose))


def _union(have: tuple[str, ...], more: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(have + more))


def _decision(draft: _Draft, until_ns: int) -> Decision:
    row, firings = draft.row, tuple(draft.firings)
    if draft.before is None:
        window = Window(row.start_ns, min(row.end_ns, until_ns), row.cameras, row.signals, lead_in=True)
        return Open(row, firings, window)
    return Extend(row, firings, _backfill(draft.before, row))


def _backfill(before: OpenClip, row: ClipRow) -> tuple[Window, ...]:
    """What ``row`` has more than ``before`` in the time that is already staged."""
    old = before.row
    windows: list[Window] = []
    if row.start_ns < old.start_ns:
        windows.append(Window(row.start_ns, old.start_ns, old.cameras, old.signals, lead_in=True))
    cameras = tuple(name for name in row.cameras if name not in old.cameras)
    signals = tuple(path for path in row.signals if path not in old.signals)
    if cameras or signals:
        windows.append(Window(row.start_ns, before.staged_until_ns, cameras, signals, lead_in=True))
    return tuple(windows)
