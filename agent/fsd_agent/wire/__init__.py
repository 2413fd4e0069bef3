"""One encoder and one decoder for everything that crosses a boundary, each versioned."""
