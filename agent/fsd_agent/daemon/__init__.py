"""The process: configuration, construction of adapters, signals and exit codes."""
