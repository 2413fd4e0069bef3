"""Which region, which endpoint, which key; unknown means hold, there is no default."""
