"""One file per port: the only input and output. Foreign errors are translated here, once."""
