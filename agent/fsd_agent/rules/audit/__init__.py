"""What a ledger proves: the tree, the chain, and clip by clip where data went."""
