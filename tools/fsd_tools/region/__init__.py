"""``fsdctl region``: make a region, and serve it."""
