"""The loops, and nothing but the loops: sense, finish (select, redact, seal), deliver, control."""
