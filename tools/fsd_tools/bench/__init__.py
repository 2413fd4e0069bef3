"""``fsdctl bench``: figures against a peer in the same run."""
