"""Signals as samples on rows: marks, staleness, and the guard that drops what can change nothing."""
