"""``fsdctl drive``: generate, import and inspect recorded drives."""
