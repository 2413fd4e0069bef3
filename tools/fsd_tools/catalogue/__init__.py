"""The signal catalogue: the standard's tree, overlays on it, and a mapping from DBC signals per vehicle line."""
