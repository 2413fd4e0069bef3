"""Consent in memory: a document as firmware would hold it, and consent that a test gives without any."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from fsd_agent.records.consent import Consented, ConsentSetting
from fsd_agent.records.purpose import ALL_PURPOSES, Purpose
from fsd_agent.wire.consent import encode_consent


def consent_document(*given: Purpose, revision: int = 1) -> bytes:
    """What firmware holds."""
    return encode_consent(ConsentSetting(revision, frozenset(given)))


class PlainConsent:
    """As the loops see it (``pipeline.consent.Consents``), without a document: everything, until a test takes it away."""

    def __init__(self, given: frozenset[Purpose] = ALL_PURPOSES) -> None:
        self._lock = threading.RLock()
        self._now = Consented(given, given, 0)

    @property
    def now(self) -> Consented:
        """What is consented to."""
        with self._lock:
            return self._now

    @contextmanager
    def steady(self) -> Iterator[Consented]:
        """It does not change inside."""
        with self._lock:
            yield self._now

    def withdraw(self, *purposes: Purpose) -> None:
        """Recorded at once."""
        with self._lock:
            left = self._now.in_force.difference(purposes)
            self._now = Consented(left, left, self._now.withdrawals + 1)

    def hold(self) -> None:
        """Nobody can say what is consented to."""
        with self._lock:
            self._now = Consented(frozenset(), self._now.in_force, self._now.withdrawals)

    def give(self, *purposes: Purpose) -> None:
        """And what was on hold."""
        with self._lock:
            given = self._now.in_force.union(purposes)
            self._now = Consented(given, given, self._now.withdrawals)
