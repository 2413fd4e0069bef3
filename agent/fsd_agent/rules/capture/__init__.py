"""Which frames and samples belong to an event."""
