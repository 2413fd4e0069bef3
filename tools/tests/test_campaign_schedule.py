"""Schedules: from YAML to the vehicle's table, and the table against Python's own time zones."""

from __future__ import annotations

import datetime as dt
import subprocess
import sys
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from fsd_agent.records.campaign import SECOND_NS
from fsd_agent.records.schedule import WEEK_NS, LocalOffset, Schedule, WeekSpan
from fsd_agent.rules.triggers.firing.schedule import DAY_NS, within
from fsd_tools.campaign.schedule import compile_schedule
from fsd_tools.campaign.schedule_form import DAYS, ScheduleFile, StretchFile
from fsd_tools.campaign.schema import FieldError

ZONES = (
    "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "Africa/Casablanca",
    "America/Sao_Paulo", "Pacific/Chatham", "Pacific/Apia", "Asia/Shanghai", "UTC",
)  # fmt: skip


def unix_ns(*moment: int, zone: str = "UTC", fold: int = 0) -> int:
    local = dt.datetime(*moment, tzinfo=ZoneInfo(zone), fold=fold)  # type: ignore[arg-type, misc]
    return round(local.timestamp()) * SECOND_NS


FROM_NS, UNTIL_NS = unix_ns(2011, 1, 1), unix_ns(2027, 1, 1)


def read(text: str) -> ScheduleFile:
    return msgspec.convert(yaml.safe_load(text), ScheduleFile, strict=True)


def compiled(text: str) -> Schedule:
    return compile_schedule(read(text), FROM_NS, UNTIL_NS)


def expected(stretches: list[StretchFile], wall_ns: int) -> bool:
    """Looks at a calendar: is it such a day and such a time, or the morning after such a night?"""
    local = dt.datetime.fromtimestamp(wall_ns // SECOND_NS, ZoneInfo(stretches[0].zone))
    time = f"{local:%H:%M}"
    today, yesterday = DAYS[local.weekday()], DAYS[local.weekday() - 1]
    for one in stretches:
        if one.from_ < one.until:
            inside = today in one.days and one.from_ <= time < one.until
        else:
            inside = (today in one.days and time >= one.from_) or (yesterday in one.days and time < one.until)
        if inside:
            return True
    return False


hours = st.builds("{:02}:{:02}".format, st.integers(0, 23), st.sampled_from([0, 1, 30, 59]))
days = st.lists(st.sampled_from(DAYS), min_size=1, unique=True).map(tuple)


@st.composite
def stretches_of(draw: st.DrawFn) -> list[StretchFile]:
    zone = draw(st.sampled_from(ZONES))
    times = draw(
        st.lists(st.tuples(hours, hours).filter(lambda two: two[0] != two[1]), min_size=1, max_size=3)
    )
    return [StretchFile(zone=zone, days=draw(days), from_=start, until=until) for start, until in times]


@given(
    stretches_of(),
    st.lists(st.integers(FROM_NS, UNTIL_NS - 1), max_size=20),
    st.lists(st.integers(-7200, 7200), max_size=20),
)
def test_local_time_is_what_the_calendar_says(
    stretches: list[StretchFile], moments: list[int], beside_s: list[int]
) -> None:
    schedule = compile_schedule(tuple(stretches), FROM_NS, UNTIL_NS)
    changes = [one.from_wall_ns for one in schedule.offsets[1:]]
    near = [at + beside * SECOND_NS for at in changes for beside in beside_s[:3]]
    for wall_ns in [*moments, *changes, *(at - 1 for at in changes), *near]:
        if FROM_NS <= wall_ns < UNTIL_NS:
            assert within(schedule, wall_ns) == expected(stretches, wall_ns)


MORNINGS = 'schedule: {zone: Europe/Berlin, days: [mon, tue], from: "07:00", until: "09:30"}'


def test_spans_and_offsets_of_a_year() -> None:
    schedule = compile_schedule(
        read('{zone: Europe/Berlin, days: [tue, mon], from: "07:00", until: "09:30"}'),
        unix_ns(2026, 1, 1),
        unix_ns(2027, 1, 1),
    )
    hour_ns = 3600 * SECOND_NS
    assert schedule.spans == (
        WeekSpan(7 * hour_ns, 9 * hour_ns + hour_ns // 2),
        WeekSpan(DAY_NS + 7 * hour_ns, DAY_NS + 9 * hour_ns + hour_ns // 2),
    )
    assert schedule.offsets == (
        LocalOffset(unix_ns(2026, 1, 1), 3600),
        LocalOffset(unix_ns(2026, 3, 29, 1), 7200),
        LocalOffset(unix_ns(2026, 10, 25, 1), 3600),
    )


def test_nights_wrap_over_midnight_and_over_the_week() -> None:
    schedule = compiled('{zone: UTC, days: [sun], from: "22:00", until: "05:00"}')
    assert schedule.spans == (
        WeekSpan(0, 5 * 3600 * SECOND_NS),
        WeekSpan(WEEK_NS - 2 * 3600 * SECOND_NS, WEEK_NS),
    )


def test_stretches_that_touch_are_one() -> None:
    schedule = compiled(
        '[{zone: UTC, from: "00:00", until: "24:00"}, {zone: UTC, days: [fri], from: "06:00", until: "07:00"}]'
    )
    assert schedule.spans == (WeekSpan(0, WEEK_NS),)


def test_before_the_first_offset_the_first_is_taken() -> None:
    schedule = Schedule((WeekSpan(0, DAY_NS),), (LocalOffset(10 * WEEK_NS, 0),))
    assert within(schedule, unix_ns(1970, 1, 5))
    assert not within(schedule, unix_ns(1970, 1, 6))


BAD = [
    ('{zone: Europe/Berln, from: "07:00", until: "09:00"}', "schedule.zone",
     "no time zone 'Europe/Berln' - did you mean 'Europe/Berlin'?"),
    ('{zone: ../etc/passwd, from: "07:00", until: "09:00"}', "schedule.zone", "no time zone '../etc/passwd'"),
    ('{zone: UTC, from: 22:00, until: "05:00"}', "schedule.from", '1320 is not a time of day such as "07:30" in quotes'),
    ('{zone: UTC, from: "22:00", until: "5:00"}', "schedule.until", "'5:00' is not a time of day"),
    ('{zone: UTC, from: "24:00", until: "05:00"}', "schedule.from", "'24:00' is not a time of day"),
    ('{zone: UTC, from: "07:00", until: "07:00"}', "schedule.until", "'07:00' is also its beginning"),
    ('{zone: UTC, days: [], from: "07:00", until: "08:00"}', "schedule.days", "is empty; leave it out for every day"),
    ('{zone: UTC, days: [mon, mon], from: "07:00", until: "08:00"}', "schedule.days", "a day is there twice"),
    ('[{zone: UTC, from: "07:00", until: "08:00"}, {zone: Europe/Rome, from: "07:00", until: "08:00"}]',
     "schedule[1].zone", "'Europe/Rome': the stretches of a schedule are in one zone, and the first is in 'UTC'"),
    ('[{zone: UTC, from: "07:00", until: "08:00"}, {zone: UTC, from: "07:00", until: "8"}]', "schedule[1].until", "'8'"),
    ("[" + ",".join(
        f'{{zone: UTC, from: "{hour:02}:{minute:02}", until: "{hour:02}:{minute + 5:02}"}}'
        for hour in range(5) for minute in (0, 30)
    ) + "]", "schedule", "70 stretches of the week; at most 64"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "field", "reason"), BAD)
def test_refused(text: str, field: str, reason: str) -> None:
    with pytest.raises(FieldError) as refused:
        compiled(text)
    assert refused.value.field == field
    assert reason in refused.value.reason


def test_too_many_changes_of_the_clock_are_refused() -> None:
    with pytest.raises(
        FieldError, match=r"schedule: Europe/Berlin changes its clocks 420 times .* valid.until"
    ):
        compile_schedule(read(MORNINGS.removeprefix("schedule: ")), unix_ns(1990, 1, 1), unix_ns(2200, 1, 1))


@pytest.mark.parametrize(
    "form",
    [
        [],
        {"zone": "UTC", "from": "07:00"},
        {"zone": "UTC", "from": "07:00", "until": "08:00", "days": ["monday"]},
        {"zone": "UTC", "from": "07:00", "until": "08:00", "every": "day"},
        {"zone": "", "from": "07:00", "until": "08:00"},
    ],
)
def test_another_form_is_refused(form: Any) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(form, ScheduleFile, strict=True)


def test_a_computer_without_time_zones_of_its_own_can_compile() -> None:
    code = """
from fsd_tools.campaign.schedule import compile_schedule
from fsd_tools.campaign.schedule_form import StretchFile
parsed = StretchFile(zone="Europe/Berlin", from_="07:00", until="09:30")
print(len(compile_schedule(parsed, 1_767_225_600 * 10**9, 1_798_761_600 * 10**9).offsets))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], env={"PYTHONTZPATH": ""}, capture_output=True, text=True, check=True
    )
    assert done.stdout == "3\n"
