"""``fsdctl vehicle``: enrol a vehicle with a region."""
