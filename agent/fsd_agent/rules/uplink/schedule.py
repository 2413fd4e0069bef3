"""What is sent next, and when a clip may be erased.

- Clips of the route's own region only; a clip of another region is not even known here.
- Only clips that are admitted (:meth:`Schedule.admit`): the others take no place and hold up nobody.
- Urgent ones first, then the highest priority, then the highest value, then the oldest. A clip that is worth little may so wait for
  long; its deadline, or its region's retention, ends that. Value decides who begins, never who is interrupted. Up to ``active_clips`` of one priority at a time, so that a transfer that
  waits for its answer does not idle the link; a clip of higher priority always starts, and goes first.
- A transfer that made no progress backs off and gives its place to the next. From then on it has its turn after
  those that did not fail, whatever its priority, and few places: many bad clips together block nobody either.
- A clip is finished by one thing: a receipt, or a refusal, that the route's region signed for exactly this clip,
  region, vehicle and hash. Anything else that claims to be one is counted and changes nothing.

No input or output; times are monotonic nanoseconds and ``random`` is uniform in [0, 1).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from fsd_agent.records.clip import ClipRow, Receipt
from fsd_agent.records.link_rule import EVERYTHING, Admits
from fsd_agent.records.region import Route
from fsd_agent.rules.uplink.counts import UplinkCounts
from fsd_agent.rules.uplink.transfer import (
    Emission,
    Heard,
    Phase,
    SendSegment,
    Transfer,
    UplinkLimits,
)
from fsd_agent.wire.receipt import verify_receipt
from fsd_agent.wire.refusal import Refusal, verify_refusal
from fsd_agent.wire.transfer import DownAddress, DownKind, Have, TransferError, decode
from fsd_agent.wire.verdict import VerdictError


@dataclass(frozen=True, slots=True)
class Delivered:
    """Erase the clip: its region has it."""

    receipt: Receipt
    envelope: bytes
    """The signed receipt, to keep."""


@dataclass(frozen=True, slots=True)
class Refused:
    """Drop the clip: its region will never take it."""

    refusal: Refusal


Decision = Delivered | Refused


class Schedule:
    """See the module."""

    def __init__(
        self,
        route: Route,
        limits: UplinkLimits,
        first_ask: int,
        begin: Callable[[ClipRow], Transfer] | None = None,
    ) -> None:
        """``begin`` makes the transfer of a clip; without it they are those of our own topics."""
        self.counts = UplinkCounts()
        self._route = route
        self._limits = limits
        self._begin = begin or (lambda row: Transfer(row, limits))
        self._ask = first_ask % 2**32
        self._transfers: dict[str, Transfer] = {}
        self._active: list[Transfer] = []
        self._admits = EVERYTHING
        self._quiet_until_ns = 0
        """No waiting transfer is due before this."""

    def __len__(self) -> int:
        """Count clips that wait for delivery."""
        return len(self._transfers)

    @property
    def known(self) -> Collection[str]:
        """Ids of the clips that wait for delivery."""
        return self._transfers.keys()

    @property
    def failing(self) -> int:
        """Clips whose last attempt got nowhere."""
        return sum(transfer.failing for transfer in self._transfers.values())

    @property
    def asked(self) -> frozenset[str]:
        """Clips that the region was asked about, or told to be whole, since they are known here."""
        return frozenset(clip_id for clip_id, transfer in self._transfers.items() if transfer.asked)

    @property
    def sending(self) -> frozenset[str]:
        """Clips whose transfer is under way."""
        return frozenset(transfer.row.clip_id for transfer in self._active)

    def row(self, clip_id: str) -> ClipRow:
        """What the journal said of a clip that waits here. Raises ``KeyError``."""
        return self._transfers[clip_id].row

    def has_failed(self, clip_id: str) -> bool:
        """Whether the last attempt on a clip that waits here got nowhere. Raises ``KeyError``."""
        return self._transfers[clip_id].failing

    def update(self, rows: Sequence[ClipRow]) -> None:
        """Every sealed clip as the journal has it now: adds new ones, forgets those that are gone."""
        mine = {row.clip_id: row for row in rows if row.region_id == self._route.policy.region_id}
        for clip_id in self._transfers.keys() - mine.keys():
            self.done(clip_id)
        new = [self._begin(row) for clip_id, row in mine.items() if clip_id not in self._transfers]
        if new:
            self._transfers.update((transfer.row.clip_id, transfer) for transfer in new)
            self._quiet_until_ns = 0

    def admit(self, admits: Admits, now_ns: int) -> None:
        """From now on only these clips are sent. What is under way of others is left, without fault, and asked again then."""
        if admits == self._admits:
            return
        self._admits = admits
        for transfer in tuple(self._active):
            if not admits.admits(transfer.row.link):
                transfer.interrupt(now_ns)
                self._active.remove(transfer)
        self._quiet_until_ns = 0

    def next(self, now_ns: int, not_yet: Collection[str] = ()) -> Emission | None:
        """What to publish now, if anything; nothing is asked about the clips of ``not_yet``."""
        self._promote(now_ns)
        for transfer in self._active:
            if transfer.phase is Phase.WAITING and transfer.row.clip_id in not_yet:
                continue
            emission = transfer.next(now_ns, self._ask)
            if emission is not None:
                if not isinstance(emission, SendSegment):
                    self._ask = (self._ask + 1) % 2**32
                return emission
        return None

    def more(self, emission: Emission, most: int) -> list[SendSegment]:
        """At most ``most`` segments that follow ``emission``, which :meth:`next` gave just now: its clip still has its turn."""
        if not isinstance(emission, SendSegment):
            return []
        return self._transfers[emission.clip_id].more(most)

    def _promote(self, now_ns: int) -> None:
        """Fill the active places with the best clips whose time has come."""
        if now_ns < self._quiet_until_ns:
            return
        soonest_ns = now_ns + self._limits.retry.most_ns
        active = set(map(id, self._active))
        for transfer in sorted(self._transfers.values(), key=lambda each: each.turn):
            if id(transfer) in active or not self._admits.admits(transfer.row.link):
                continue
            if transfer.due_ns > now_ns:
                soonest_ns = min(soonest_ns, transfer.due_ns)
            elif self._place_for(transfer):
                self._active.append(transfer)
        self._active.sort(key=lambda each: each.turn)
        self._quiet_until_ns = soonest_ns

    def _place_for(self, transfer: Transfer) -> bool:
        """Whether it may start beside those that are active: failing ones share a few places of their own."""
        rivals = sum(
            each.failing if transfer.failing else not each.failing and each.rank >= transfer.rank
            for each in self._active
        )
        return rivals < self._limits.active_clips and len(self._active) < self._limits.active_clips_in_all

    def unasked(self, clip_id: str, now_ns: int) -> None:
        """The question was not put after all; it is due."""
        transfer = self._transfers.get(clip_id)
        if transfer is not None:
            transfer.interrupt(now_ns)

    def taken(self, emission: Emission, now_ns: int) -> None:
        """The broker acknowledged this publish."""
        transfer = self._transfers.get(emission.clip_id)
        if transfer is not None:
            transfer.taken(emission, now_ns)

    def heard(self, address: DownAddress, payload: bytes, now_ns: int, random: float) -> Decision | None:
        """An answer arrived. A decision is to be carried out and then confirmed with :meth:`done`."""
        transfer = self._transfers.get(address.clip_id)
        if transfer is None:
            self.counts.unknown_clips += 1
            return None
        if address.kind is DownKind.HAVE:
            self._answer(transfer, payload, now_ns, random)
            return None
        try:
            return self._verdict(transfer.row, address.kind, payload)
        except VerdictError:
            self.counts.bad_receipts += 1
            return None

    def _answer(self, transfer: Transfer, payload: bytes, now_ns: int, random: float) -> None:
        try:
            heard = transfer.answer(decode(Have, payload), now_ns, random)
        except TransferError:
            heard = Heard.BAD
        self.counts.bad_answers += heard is Heard.BAD
        self.counts.stale_answers += heard is Heard.STALE
        self._settle(transfer)

    def result(self, clip_id: str, *, failed: bool, whole: bool, now_ns: int, random: float) -> None:
        """A server of the file convention said what became of a command."""
        transfer = self._transfers.get(clip_id)
        if transfer is None:
            self.counts.unknown_clips += 1
            return
        heard = transfer.result(failed=failed, whole=whole, now_ns=now_ns, random=random)
        self.counts.stale_answers += heard is Heard.STALE
        self._settle(transfer)

    def _verdict(self, row: ClipRow, kind: DownKind, payload: bytes) -> Decision:
        policy, vehicle = self._route.policy, self._route.registration.vehicle
        if kind is DownKind.RECEIPT:
            receipt = verify_receipt(
                payload,
                policy.receipt_public_keys,
                clip_id=row.clip_id,
                region_id=policy.region_id,
                vehicle=vehicle,
                sha256=row.sha256,
            )
            return Delivered(receipt, payload)
        refusal = verify_refusal(
            payload,
            policy.receipt_public_keys,
            clip_id=row.clip_id,
            region_id=policy.region_id,
            vehicle=vehicle,
            sha256=row.sha256,
        )
        return Refused(refusal)

    def done(self, clip_id: str) -> None:
        """The journal holds the clip's end: forget it."""
        transfer = self._transfers.pop(clip_id, None)
        if transfer is not None:
            if transfer in self._active:
                self._active.remove(transfer)
            self._quiet_until_ns = 0

    def postpone(self, clip_id: str, now_ns: int, random: float) -> None:
        """It can't be sent or concluded now (a publish refused, a journal full): later, with back-off."""
        transfer = self._transfers.get(clip_id)
        if transfer is not None:
            transfer.postpone(now_ns, random)
            self._settle(transfer)

    def unreadable(self, clip_id: str, now_ns: int, random: float) -> bool:
        """Its file could not be read; True when that has happened so often that the file counts as damaged."""
        transfer = self._transfers.get(clip_id)
        if transfer is None:
            return False
        transfer.failed_reads += 1
        self.postpone(clip_id, now_ns, random)
        return transfer.failed_reads >= self._limits.read_attempts

    def expire(self, now_ns: int, random: float) -> int:
        """Give up on answers that are overdue; how many."""
        overdue = [transfer for transfer in self._active if transfer.expire(now_ns, random)]
        for transfer in overdue:
            self._settle(transfer)
        self.counts.timeouts += len(overdue)
        return len(overdue)

    def disconnected(self, now_ns: int) -> None:
        """Everything that was open is asked again after the next connection."""
        for transfer in self._active:
            transfer.interrupt(now_ns)
        self._active.clear()
        self._quiet_until_ns = 0

    def _settle(self, transfer: Transfer) -> None:
        """Give up the place of a transfer that rests now."""
        if transfer.phase is Phase.WAITING:
            if transfer in self._active:
                self._active.remove(transfer)
            self._quiet_until_ns = 0

    def next_due_ns(self, now_ns: int) -> int:
        """When something may be due without any event, at the earliest."""
        times = [each.deadline_ns for each in self._active if each.deadline_ns is not None]
        if len(self._active) < len(self._transfers):
            times.append(max(self._quiet_until_ns, now_ns))
        return min(times, default=now_ns + self._limits.retry.most_ns)
