"""Is it worth keeping."""
