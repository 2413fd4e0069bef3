"""Model packages (manifest and weights), ONNX sessions, pre- and post-processing. Arrays in, arrays out."""
