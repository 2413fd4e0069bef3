"""The matrix for people."""

from __future__ import annotations

from hil_tests.wire import fleet
from hil_tests.wire.explore import Report
from hil_tests.wire.watch import TABLES, Cell


def show(report: Report) -> None:
    """Print what the schedules came to."""
    rate = report.schedules / report.seconds if report.seconds else 0.0
    print(
        f"\n{report.schedules} schedules ({report.journeys} of them by fsd-agent in its own process) in {report.seconds:.0f} s ({rate:.1f} a second), "
        f"{report.with_egress} of them with the egress list on"
    )
    print("moves: " + ", ".join(f"{count} {name}" for name, count in report.moves.most_common()))
    print(
        f"{report.clips} clips collected, {report.delivered} delivered with a receipt; regions were told of {report.told} firings"
    )
    print(
        "\npackets / bytes on the wire / secret bytes (a certificate, or anything of MQTT) that reached each region"
    )
    for table in TABLES:
        print(f"\n{table}\n")
        rows = sorted({row for listed, row, _ in report.matrix if listed == table})
        print(f"{'vehicle of':<14}" + "".join(f"{region:>32}" for region in fleet.REGIONS))
        for row in rows:
            cells = [report.matrix.get((table, row, region), Cell()) for region in fleet.REGIONS]
            print(f"{row:<14}" + "".join(f"{_cell(cell):>32}" for cell in cells))
    print("\npackets counted by the kernels, as captured: ", end="")
    print(", ".join(f"{region} {count}" for region, count in sorted(report.counted.items())))
    for note in report.notes:
        print(note)
    for failure in report.failures:
        listed, named = "on" if failure.egress else "off", ", named brokers" if failure.named else ""
        replay = f"make residency REPLAY={failure.seed}{' JOURNEY=1' if failure.journey else ''}"
        print(f"\nFAILS: seed {failure.seed}, egress list {listed}{named}; `{replay}` plays it")
        for move in failure.moves:
            print(f"  {' '.join(map(str, move))}")
        for wrong in failure.wrong:
            print(f"  => {wrong}")
    if not report.failures:
        print("Nothing that a vehicle keeps for its region reached another one.")


def _cell(cell: Cell) -> str:
    return f"{cell.packets:,} / {cell.bytes:,} / {cell.secret_bytes:,}"
