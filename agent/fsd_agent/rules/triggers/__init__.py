"""Does a condition fire, and when."""
