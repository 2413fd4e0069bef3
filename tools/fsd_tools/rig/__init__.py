"""A whole fleet on one machine: regions, vehicles and their processes, for the demo, benches and tests."""
