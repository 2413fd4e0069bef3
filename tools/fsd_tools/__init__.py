"""``fsdctl``: drives, campaigns, region, clips, demo and benchmarks."""
