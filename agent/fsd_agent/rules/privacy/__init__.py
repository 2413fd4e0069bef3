"""What must be removed before a clip may leave the vehicle."""
