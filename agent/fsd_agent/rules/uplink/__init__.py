"""What is sent next, when to retry, when a clip may be deleted."""
