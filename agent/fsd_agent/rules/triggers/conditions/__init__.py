"""Where conditions become true and stop being true."""
