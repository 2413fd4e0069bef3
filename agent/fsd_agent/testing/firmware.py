"""A firmware source that plays batches it was given; its documents and surroundings can be changed at any moment."""

from __future__ import annotations

from collections.abc import Iterable

from fsd_firmware.contract import FirmwareError, VehicleDescription
from fsd_firmware.samples import SensedBatch
from fsd_firmware.surroundings import POWERED, LinkKind, LinkState, Surroundings

HOME = Surroundings(LinkState(LinkKind.WIFI, metered=False, roaming=False), POWERED)
"""Everything may go."""


class ScriptedFirmware:
    """Implements :class:`fsd_firmware.contract.Firmware`.

    Gives ``batches`` in order and then ends, or breaks with ``breaks_with`` where that is given.
    """

    def __init__(
        self,
        description: VehicleDescription,
        batches: Iterable[SensedBatch],
        *,
        registration: bytes | None,
        consent: bytes | None = None,
        breaks_with: str | None = None,
    ) -> None:
        self.document = registration
        """What :meth:`registration` answers; may be set while the agent runs."""
        self.consent_document = consent
        """What :meth:`consent` answers; may be set while the agent runs."""
        self.around = HOME
        """What :meth:`surroundings` answers; may be set while the agent runs."""
        self.given_back = 0
        """How often a drain window was given back."""
        self.closed = False
        self._description = description
        self._batches = iter(batches)
        self._breaks_with = breaks_with

    def describe(self) -> VehicleDescription:
        """See the contract."""
        return self._description

    def registration(self) -> bytes | None:
        """See the contract."""
        return self.document

    def consent(self) -> bytes | None:
        """See the contract."""
        return self.consent_document

    def surroundings(self) -> Surroundings:
        """See the contract."""
        return self.around

    def give_back(self) -> None:
        """See the contract."""
        self.given_back += 1

    def poll(self) -> SensedBatch | None:
        """See the contract."""
        batch = None if self.closed else next(self._batches, None)
        if batch is None and self._breaks_with is not None and not self.closed:
            raise FirmwareError(self._breaks_with)
        return batch

    def close(self) -> None:
        """See the contract."""
        self.closed = True
