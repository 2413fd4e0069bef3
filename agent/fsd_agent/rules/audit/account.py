"""Clip by clip: where the data went, and whether everything about it was as it must be.

The rules, each with the finding that breaking it gives:

- a clip begins with a firing, or in the checkpoint of removed records       unknown_clip
- every record of a clip names one region, and every connection had its identity; so had those over which regions
  were told of firings by themselves                                              wrong_region
- redacted, then sealed, then sent, then receipted; nothing of a copy that is gone, nothing of a clip that was given
  up, no copy made and no end come to twice                                       wrong_order
- consent changes to what it was not before                                       wrong_order
- nothing is collected, redacted, sealed or sent without consent to the clip's purpose, nor is a region told of a firing
  without; what is erased for want of consent was given up because of that        no_consent, erased_without_cause
- a receipt is the region's, for exactly this vehicle, clip and file            bad_receipt
- a copy is erased for a cause that the ledger holds                              erased_without_cause
- what was receipted is at the region, or the region has signed that its retention was over, and it was;
  what is or was there was sent, and is the same                            not_at_region, not_in_ledger, wrong_file

A region's identity and receipts can be checked only where that region's policy is given; the account says where not.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import get_args

from fsd_agent.records.ledger import (
    Cause,
    Checkpoint,
    ClipFact,
    ConsentChanged,
    Copy,
    Dropped,
    Erased,
    Fired,
    FiringSent,
    Receipted,
    Redacted,
    Sealed,
    Sent,
)
from fsd_agent.records.purpose import Purpose
from fsd_agent.rules.audit.chain import Located
from fsd_agent.rules.audit.clip_account import ClipAccount, RegionView
from fsd_agent.rules.audit.findings import Finding, FindingKind
from fsd_agent.rules.audit.state import consent_after
from fsd_agent.wire.expired import verify_expired
from fsd_agent.wire.moments import DAY_NS
from fsd_agent.wire.receipt import verify_receipt
from fsd_agent.wire.verdict import VerdictError

_K = FindingKind
_CLIP_FACTS = get_args(ClipFact)


def account(
    records: Sequence[Located], regions: Mapping[str, RegionView], start: Checkpoint | None
) -> tuple[dict[str, ClipAccount], list[Finding]]:
    """Every clip's account, by id in the order of their beginning, and what is wrong.

    ``start`` is the checkpoint before the first of ``records``, None where that is record 0.
    """
    clips = {one.clip_id: ClipAccount.going_on(one) for one in (start.live if start is not None else ())}
    older = _ended(start)
    consent = frozenset(start.consent or ()) if start is not None else frozenset[Purpose]()
    findings: list[Finding] = []
    for located in records:
        fact, about = located.entry.fact, ""
        said: list[tuple[FindingKind, str]] = []
        if isinstance(fact, ConsentChanged):
            said += _change(consent, fact)
            consent = consent_after(consent, fact)
        elif isinstance(fact, FiringSent):
            said += _told(fact, regions.get(fact.region_id), consent)
        elif isinstance(fact, _CLIP_FACTS):
            about = fact.clip_id
            said += _take(clips, located.entry.number, fact, regions)
            said += _consented(clips[about], fact, consent)
        findings.extend(
            Finding(kind, located.file, located.entry.number, detail, about) for kind, detail in said
        )
    for region in regions.values():
        findings.extend(_compare(clips, region, older[region.region_id]))
    return clips, findings


def _ended(start: Checkpoint | None) -> Counter[str]:
    """By region: how many clips at most ended before the ledger's oldest record."""
    ended: Counter[str] = Counter()
    for kind, region_id, count in start.counts if start is not None else ():
        if kind in (Receipted.__name__, Dropped.__name__):
            ended[region_id] += count
    return ended


_Said = Iterator[tuple[FindingKind, str]]


def _change(consent: frozenset[Purpose], fact: ConsentChanged) -> _Said:
    if (fact.purpose in consent) == fact.given:
        yield _K.WRONG_ORDER, f"consent to {fact.purpose} {'given' if fact.given else 'withdrawn'} again"


def _consented(clip: ClipAccount, fact: ClipFact, consent: frozenset[Purpose]) -> _Said:
    """What makes or sends data needs consent at that moment; what ends it does not."""
    if isinstance(fact, Fired) and fact.purpose != clip.purpose:
        yield _K.WRONG_ORDER, f"fired for {fact.purpose}, the clip is for {clip.purpose}"
    purpose = clip.purpose
    if purpose is not None and purpose not in consent and isinstance(fact, Fired | Redacted | Sealed | Sent):
        yield _K.NO_CONSENT, f"{type(fact).__name__.lower()} without consent to {purpose}"


def _take(
    clips: dict[str, ClipAccount], number: int, fact: ClipFact, regions: Mapping[str, RegionView]
) -> _Said:
    clip = clips.get(fact.clip_id)
    if clip is None:
        clip = clips[fact.clip_id] = ClipAccount(fact.clip_id, fact.region_id, number)
        if not isinstance(fact, Fired):
            yield _K.UNKNOWN_CLIP, f"{type(fact).__name__} of a clip that no firing began"
    if clip.purpose is None and isinstance(fact, Fired):
        clip.purpose = fact.purpose
    if fact.region_id != clip.region_id:
        yield _K.WRONG_REGION, f"{type(fact).__name__} names {fact.region_id}, the clip is {clip.region_id}'s"
    if isinstance(fact, Sent | Receipted | Dropped | Erased):
        yield from _leave(clip, fact, regions.get(clip.region_id))
    else:
        yield from _make(clip, fact)


def _make(clip: ClipAccount, fact: Fired | Redacted | Sealed) -> _Said:
    """Copies come to be."""
    match fact:
        case Fired():
            clip.firings += 1
            known = clip.firings > 1 or clip.before is not None
            yield from _needs(clip, Copy.STAGED if known else None, "fired again")
            clip.copies.add(Copy.STAGED)
        case Redacted():
            yield from _needs(clip, Copy.STAGED, "redacted")
            clip.redacted = fact
        case Sealed():
            yield from _needs(clip, Copy.STAGED, "sealed")
            yield from _once(clip, "sealed", again=Copy.SEALED in clip.copies)
            if not clip.was_redacted:
                yield _K.WRONG_ORDER, "sealed, but not redacted before"
            clip.sealed = fact
            clip.copies.add(Copy.SEALED)


def _leave(clip: ClipAccount, fact: Sent | Receipted | Dropped | Erased, region: RegionView | None) -> _Said:
    """Copies leave, and end."""
    match fact:
        case Sent():
            yield from _send(clip, fact, region)
        case Receipted():
            yield from _receipt(clip, fact, region)
        case Dropped():
            if clip.was_dropped:
                yield _K.WRONG_ORDER, "given up again"
            clip.dropped = fact
        case Erased():
            yield from _erase(clip, fact)


def _needs(clip: ClipAccount, copy: Copy | None, act: str) -> _Said:
    if copy is not None and copy not in clip.copies:
        yield _K.WRONG_ORDER, f"{act}, but there was no {copy} copy"


def _once(clip: ClipAccount, act: str, *, again: bool) -> _Said:
    """What is done is not done again, and nothing goes on with a clip that was given up."""
    if again:
        yield _K.WRONG_ORDER, f"{act} again"
    if clip.was_dropped:
        yield _K.WRONG_ORDER, f"{act}, but given up before"


def _send(clip: ClipAccount, fact: Sent, region: RegionView | None) -> _Said:
    yield from _needs(clip, Copy.SEALED, "sent")
    yield from _once(clip, "sent", again=False)
    yield from _identified(fact, region)
    clip.sent.append(fact)


def _told(fact: FiringSent, region: RegionView | None, consent: frozenset[Purpose]) -> _Said:
    """A firing that its region was told of by itself."""
    if fact.purpose not in consent:
        yield _K.NO_CONSENT, f"told of firing {fact.firing_id} without consent to {fact.purpose}"
    yield from _identified(fact, region)


def _identified(fact: Sent | FiringSent, region: RegionView | None) -> _Said:
    if region is not None and fact.identity_uri != region.identity_uri:
        detail = f"sent to {fact.host}:{fact.port}, whose certificate names {fact.identity_uri}, not {region.identity_uri}"
        yield _K.WRONG_REGION, detail


def _receipt(clip: ClipAccount, fact: Receipted, region: RegionView | None) -> _Said:
    if not clip.was_sent:
        yield _K.WRONG_ORDER, "receipted, but never sent"
    yield from _once(clip, "receipted", again=clip.got_receipt)
    clip.receipted = fact
    if clip.file is None:
        yield _K.BAD_RECEIPT, "a receipt for a clip that was never sealed"
    elif region is not None:
        vehicle, sha256 = clip.file
        try:
            receipt = verify_receipt(
                fact.receipt,
                region.receipt_public_keys,
                clip_id=clip.clip_id,
                region_id=clip.region_id,
                vehicle=vehicle,
                sha256=sha256,
            )
        except VerdictError as error:
            yield _K.BAD_RECEIPT, str(error)
        else:
            clip.receipt_checked, clip.stored_wall_ns = True, receipt.stored_wall_ns


def _erase(clip: ClipAccount, fact: Erased) -> _Said:
    yield from _needs(clip, fact.copy, "erased")
    holds = {
        Cause.SEALED: fact.copy is Copy.STAGED and clip.file is not None,
        Cause.RECEIPTED: clip.got_receipt,
        Cause.DROPPED: clip.was_dropped,
        Cause.CONSENT: clip.was_withdrawn,
        Cause.REDONE: fact.copy is Copy.SEALED and Copy.STAGED in clip.copies and not clip.was_sent,
    }
    if not holds[fact.cause]:
        detail = f"the {fact.copy} copy is erased as {fact.cause}, but no record says that it was"
        yield _K.ERASED_WITHOUT_CAUSE, detail
    clip.copies.discard(fact.copy)
    clip.erased[fact.copy] = fact.cause


def _compare(clips: Mapping[str, ClipAccount], region: RegionView, older: int) -> Iterator[Finding]:
    """The ledger against what the region holds."""
    for clip_id, clip in clips.items():
        if clip.region_id == region.region_id and clip.got_receipt and clip_id not in region.clips:
            fault = _expire(clip, region)
            if fault is not None:
                detail = f"receipted, but not among what region {region.region_id} holds{fault}"
                yield Finding(_K.NOT_AT_REGION, "ledger", clip.since, detail, clip_id)
    there = {clip_id: (one.held, "held") for clip_id, one in region.expired.items()}
    there |= {clip_id: (one, "holds") for clip_id, one in region.clips.items()}
    unknown = [clip_id for clip_id in there if clip_id not in clips]
    for clip_id, (stored, verb) in there.items():
        known = clips.get(clip_id)
        held = f"region {region.region_id} {verb}"
        if known is None and len(unknown) <= older:
            continue
        if known is None or not known.was_sent:
            detail = f"{held} a clip that the ledger does not say was sent"
            yield Finding(_K.NOT_IN_LEDGER, stored.source, None, detail, clip_id)
        elif known.region_id != region.region_id:
            yield Finding(
                _K.WRONG_REGION, stored.source, None, f"{held} region {known.region_id}'s clip", clip_id
            )
        elif known.file != (stored.vehicle, stored.sha256):
            detail = f"{held} another file than the ledger names, SHA-256 {stored.sha256.hex()}"
            yield Finding(_K.WRONG_FILE, stored.source, None, detail, clip_id)


def _expire(clip: ClipAccount, region: RegionView) -> str | None:
    """Take the region's word that a receipted clip was over; None where it holds, else what is wrong with it."""
    gone = region.expired.get(clip.clip_id)
    if gone is None or clip.file is None:
        return ""
    vehicle, sha256 = clip.file
    try:
        said = verify_expired(
            gone.signed,
            region.receipt_public_keys,
            clip_id=clip.clip_id,
            region_id=clip.region_id,
            vehicle=vehicle,
            sha256=sha256,
        )
    except VerdictError as error:
        return f", and its record that it is over does not count: {error}"
    if clip.stored_wall_ns not in {None, said.stored_wall_ns}:
        return ", and its record that it is over names another time of storing than the receipt"
    if said.expired_wall_ns - said.stored_wall_ns < said.retention_days * DAY_NS:
        return f": it was removed before the {said.retention_days} days of its retention were over"
    clip.expired = said
    return None
