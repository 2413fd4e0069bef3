"""CAN frames to signal samples, all ids at once."""
