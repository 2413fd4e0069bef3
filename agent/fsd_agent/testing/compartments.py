"""Compartments in a word, and keys that have some already."""

from __future__ import annotations

from fsd_agent.records.purpose import Compartment, Purpose
from fsd_agent.testing.vehicle_keys import MemoryVehicleKeys


def at(region_id: str, purpose: Purpose = Purpose.SAFETY) -> Compartment:
    """A compartment of the region."""
    return Compartment(region_id, purpose)


def keyed(*region_ids: str, seed: str = "car-1") -> MemoryVehicleKeys:
    """Keys of a vehicle that has begun clips for safety in these regions."""
    keys = MemoryVehicleKeys(seed)
    for region_id in region_ids:
        keys.compartment_key(*at(region_id), make=True)
    return keys
