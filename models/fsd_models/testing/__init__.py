"""A small real model for tests that can't have real weights."""
