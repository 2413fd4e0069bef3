"""``fsdctl clip``: inspect received clips."""
