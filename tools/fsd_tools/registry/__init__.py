"""``fsdctl registry``: a registration authority, which says where vehicles belong."""
