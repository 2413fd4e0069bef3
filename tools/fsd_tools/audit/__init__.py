"""``fsdctl audit``: what a vehicle's ledger proves."""
