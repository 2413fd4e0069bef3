"""``fsdctl model``: verify and assemble model packages."""
