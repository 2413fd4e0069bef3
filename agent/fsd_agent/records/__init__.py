"""Frozen values with units in their names. What the vehicle senses is in ``fsd_firmware.samples``."""
