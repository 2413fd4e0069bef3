"""``fsdctl campaign``: check, compile, push and backtest campaigns."""
