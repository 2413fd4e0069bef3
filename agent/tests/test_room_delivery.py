"""Room and damage where clips are being sent: what is under way stays, and delivery forgets what went."""

from __future__ import annotations

from agent.tests.two_regions import Bench as TwoRegions
from fsd_agent.pipeline.room import LOOK_EVERY_NS, Room, RoomPolicy
from fsd_agent.records.clip import ClipState
from fsd_agent.records.reasons import DropReason
from fsd_agent.records.region import LeftClips
from fsd_agent.records.room import Amount
from fsd_agent.rules.spool.evict import Quotas
from fsd_agent.rules.spool.headroom import headroom_limits
from fsd_agent.rules.uplink.transfer import UplinkLimits
from fsd_agent.testing.disk import MemoryDisk, MemoryReserve

PLENTY = Amount(10**12, 10**6)
ACTIVE = UplinkLimits().active_clips


class Bench(TwoRegions):
    """With a quota of one clip, and a broker that takes everything and answers nothing."""

    def __init__(self) -> None:
        super().__init__(LeftClips.DELIVER)
        self.brokers["cn"].silent = True
        disk = MemoryDisk(PLENTY)
        self.room = Room(
            RoomPolicy(
                quotas=Quotas(Amount(10**9, 1)),
                limits=headroom_limits(Amount(1, 1), Amount(1, 1), slow_ns=10**9),
                spare=Amount(1, 1),
                scarce_priority=0,
            ),
            disk=disk,
            reserve=MemoryReserve(disk, part=Amount(1, 1), parts=1),
            journal=self.journal,
            staging=self.staging,
            give_up=self.give_up,
            sending=lambda: self.deliverer.sending,
            clock=self.clock,
            events=self.events,
        )
        self.deliverer = self.new_deliverer(lambda: self.room.step(ClipState.SEALED))

    def look(self) -> None:
        self.clock.advance(LOOK_EVERY_NS)
        self.room.look()
        self.deliverer.step(0)


def test_what_is_being_sent_stays_and_what_waits_behind_it_goes() -> None:
    bench = Bench()
    clips = [bench.add(number, "cn") for number in range(ACTIVE + 3)]
    assert bench.deliverer.sending == frozenset()
    assert bench.run(5, lambda: len(bench.deliverer.sending) == ACTIVE)
    assert bench.deliverer.sending == set(clips[:ACTIVE])
    bench.look()
    assert [bench.state(clip) for clip in clips[:ACTIVE]] == [ClipState.SEALED] * ACTIVE
    dropped = {row.clip_id: row.drop for row in bench.journal.clips({ClipState.DROPPED})}
    assert dropped == dict.fromkeys(clips[ACTIVE:], DropReason.QUOTA_SPOOL)
    assert bench.deliverer.stats().waiting_clips == ACTIVE
    bench.check()


def test_without_a_connection_nothing_is_being_sent() -> None:
    bench = Bench()
    clips = [bench.add(number, "cn") for number in range(3)]
    bench.run(5, lambda: len(bench.deliverer.sending) == len(clips))
    bench.brokers["cn"].unreachable = True
    bench.register(None)
    bench.deliverer.step(0)
    assert bench.deliverer.sending == frozenset()
    bench.look()
    assert [bench.state(clip) for clip in clips] == [
        ClipState.DROPPED,
        ClipState.DROPPED,
        ClipState.SEALED,
    ]
    bench.check()


def test_what_was_given_up_is_never_heard_of_again() -> None:
    bench = Bench()
    clips = [bench.add(number, "cn") for number in range(ACTIVE + 2)]
    bench.run(5, lambda: len(bench.deliverer.sending) == ACTIVE)
    bench.look()
    bench.brokers["cn"].silent = False
    assert bench.run(60, lambda: not bench.journal.clips({ClipState.SEALED}))
    assert [bench.state(clip) for clip in clips] == [
        *[ClipState.DELIVERED] * ACTIVE,
        *[ClipState.DROPPED] * 2,
    ]
    bench.check()
