"""When a clip is complete, recovered, or given up, and why."""
