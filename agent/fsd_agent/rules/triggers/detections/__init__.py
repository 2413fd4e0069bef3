"""What the cameras see: tracks, looks and loops over them."""
