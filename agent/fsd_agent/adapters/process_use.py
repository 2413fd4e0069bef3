"""What this process uses of the computer that it must not disturb."""

from __future__ import annotations

import psutil

from fsd_agent.records.status import ProcessUse


def process_use() -> ProcessUse:
    """Of this process, now."""
    process = psutil.Process()
    with process.oneshot():
        times = process.cpu_times()
        return ProcessUse(
            cpu_s=float(times.user + times.system),
            resident_bytes=int(process.memory_info().rss),
            threads=int(process.num_threads()),
        )
