"""Conditions: what a function becomes on the car, and what an author is told who writes it otherwise."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fsd_agent.records.program import MAX_NODES, MAX_TEMPORAL, WINDOWED, Program
from fsd_firmware.catalogue import Catalogue, CatalogueEntry
from fsd_tools.campaign.compiler import compile_condition
from fsd_tools.campaign.functions import FUNCTIONS
from fsd_tools.campaign.lower import Gates
from fsd_tools.campaign.refusals import ConditionError

GEARS = ((-1, "REVERSE"), (0, "NEUTRAL"), (1, "DRIVE"), (2, "DRIVE"), (7, "PARK"))
CATALOGUE = Catalogue(
    (
        CatalogueEntry("V.Speed", "double", "km/h", 0, 250, ""),
        CatalogueEntry("V.On", "bool", "", 0, 1, ""),
        CatalogueEntry("V.Gear", "double", "", -1, 7, "", labels=GEARS),
        CatalogueEntry("Vehicle.Acceleration.Longitudinal", "double", "m/s^2", -20, 20, ""),
    )
)
CAMERAS = ("front", "narrow")
ZONES, HEADS = ("depot", "school"), ("crossing",)


def compiled(source: str) -> Program:
    return compile_condition(source, CATALOGUE, CAMERAS, zones=ZONES, heads=HEADS)


def written(program: Program) -> str:
    """The program as one expression: ``once[2s](!V.On)``."""
    said: list[str] = []
    for node in program.nodes:
        args = ", ".join(said[arg] for arg in node.args)
        window = f"[{node.window_ns / 1e9:g}s]" if node.op in WINDOWED else ""
        value = "" if node.value is None else f":{node.value}"
        said.append(f"{node.op}{window}{value}" + (f"({args})" if args else ""))
    return said[-1].replace("sigb:", "").replace("sig:", "")


@pytest.mark.parametrize(
    ("source", "program"),
    [
        ('held(V.On, "2s")', "not(once[2s](not(V.On)))"),
        ('held(V.On, duration("2s"))', "not(once[2s](not(V.On)))"),
        ('held(!V.On, "0.5min") ', "not(once[30s](V.On))"),
        ("rose(V.On)", "rise(V.On)"),
        ("fell(V.On)", "rise(not(V.On))"),
        ("fell(!V.On)", "rise(V.On)"),
        ("since(V.On) < 3", "once[3s](V.On)"),
        ("since(V.On) < 0.25", "once[0.25s](V.On)"),
        ("3.0 > since(V.On)", "once[3s](V.On)"),
        ("since(V.On) >= 3.0", "not(once[3s](V.On))"),
        ("3 <= since(V.On)", "not(once[3s](V.On))"),
        ("previous(V.Speed) > 3.0", "gt(prev(V.Speed), lit:3.0)"),
        ("previous(V.On)", "prev(V.On)"),
        ("previous(detections.size()) > 2", "gt(prev(size(dets)), lit:2)"),
        ('rate(V.Speed, "1s") < -5.0', "lt(rate[1s](V.Speed), lit:-5.0)"),
        ('max_over(V.Speed, "5s") > 80', "gt(maxo[5s](V.Speed), lit:80)"),
        ('min_over(detections.size(), "500ms") >= 2', "ge(mino[0.5s](size(dets)), lit:2)"),
        ('mean_over(V.Speed, "1m") > 1.0', "gt(meano[60s](V.Speed), lit:1.0)"),
        ('std_over(V.Speed, duration("1s500ms")) > 1.0', "gt(stdo[1.5s](V.Speed), lit:1.0)"),
        ('count_over(V.On, "10s") > 3', "gt(counto[10s](V.On), lit:3)"),
        (
            'flicker("pedestrian", "2s") > 3',
            "gt(counto[2s](exists(dets, eq(field:kind, lit:pedestrian))), lit:3)",
        ),
        (
            'jitter("cyclist", "2s") > 0.1',
            "gt(meano[2s](boxmax(filter(dets, eq(field:kind, lit:cyclist)), field:jitter)), lit:0.1)",
        ),
        ('disagree("front", "narrow")', "ne(gt(seen:front, lit:0), gt(seen:narrow, lit:0))"),
        ('disagree("firmware", "nanodet-m@1")', "ne(gt(seen:firmware, lit:0), gt(seen:nanodet-m@1, lit:0))"),
        ('within("depot")', "zone:depot"),
        ('head("crossing") > 0.5', "gt(head:crossing, lit:0.5)"),
        ('fell(mode("assisted"))', "rise(not(mode:assisted))"),
        ('V.Gear == "PARK"', "eq(V.Gear, lit:7.0)"),
        ('"PARK" != V.Gear', "ne(V.Gear, lit:7.0)"),
        ('V.Gear == "DRIVE"', "or(eq(V.Gear, lit:1.0), eq(V.Gear, lit:2.0))"),
        ('V.Gear != "DRIVE"', "not(or(eq(V.Gear, lit:1.0), eq(V.Gear, lit:2.0)))"),
        ('V.Gear in ["PARK", "REVERSE"]', "or(eq(V.Gear, lit:7.0), eq(V.Gear, lit:-1.0))"),
        ('previous(V.Gear) == "REVERSE"', "eq(prev(V.Gear), lit:-1.0)"),
        ("V.Gear == 7 || V.Gear > 1.0", "or(eq(V.Gear, lit:7), gt(V.Gear, lit:1.0))"),
        (
            "detections.exists(d, has(d.ttc_s) && d.ttc_s < 1.5 && d.lateral_heights_s > 0.2)",
            "exists(dets, and(and(has:ttc_s, lt(field:ttc_s, lit:1.5)), gt(field:lateral_heights_s, lit:0.2)))",
        ),
        # what does not use the loop's variable may look back inside the loop
        (
            'detections.exists(d, d.score > 0.5 && held(V.On, "1s"))',
            "exists(dets, and(gt(field:score, lit:0.5), not(once[1s](not(V.On)))))",
        ),
        ("!!V.On", "V.On"),
    ],
)
def test_a_function_becomes_what_the_car_knows(source: str, program: str) -> None:
    assert written(compiled(source)) == program


def test_the_ends_of_since_differ_by_a_nanosecond() -> None:
    windows = {
        sign: next(node.window_ns for node in compiled(f"since(V.On) {sign} 2").nodes if node.window_ns)
        for sign in ("<", "<=", ">", ">=")
    }
    assert windows == {"<": 2 * 10**9, "<=": 2 * 10**9 + 1, ">": 2 * 10**9 + 1, ">=": 2 * 10**9}
    assert written(compiled("since(V.On) <= 0")) == "once[1e-09s](V.On)"


def test_states_and_fences_join_the_condition() -> None:
    gates = Gates(("manual", "assisted"), ("depot", "school"), ("closed", "tunnel"))
    zones = (*ZONES, "closed", "tunnel")
    found = compile_condition("V.On || V.Speed > 3.0", CATALOGUE, CAMERAS, zones=zones, gates=gates)
    assert written(found) == (
        "and(and(and(and(or(V.On, gt(V.Speed, lit:3.0)), or(mode:manual, mode:assisted)), "
        "or(zone:depot, zone:school)), not(zone:closed)), not(zone:tunnel))"
    )


BAD = [
    # names
    ("Vehicle.Acceleration.Longitudinl < 1.0",
     "line 1 column 21: unknown signal 'Vehicle.Acceleration.Longitudinl' - did you mean 'Vehicle.Acceleration.Longitudinal'?"),
    ("V.On &&\n  V.Speeed > 3.0", "line 2 column 4: unknown signal 'V.Speeed' - did you mean 'V.Speed'?"),
    ('detections.exists(d, d.kin == "car")', "line 1 column 23: a detection has no field 'kin' - did you mean 'kind'?"),
    ('detections.exists(d, d.kind == "pedestrain")', "unknown kind 'pedestrain' - did you mean 'pedestrian'?"),
    ('detections.exists(d, d.camera == "wide")', "unknown camera 'wide'; there is front, narrow"),
    ('V.Gear == "PRAK"', "character 8: V.Gear has no value 'PRAK' - did you mean 'PARK'?"),
    ('V.Gear in ["PARK", "P"]', "V.Gear has no value 'P'; there is REVERSE, NEUTRAL, DRIVE, PARK"),
    ('V.Speed == "FAST"', "V.Speed has no named values; compare it with a number"),
    ('helt(V.On, "2s")', "unknown function 'helt' - did you mean 'held'?"),
    ("V.On.rising()", "unknown function 'rising'"),
    ('within("deport")', "no zone 'deport' in this file's 'zones' - did you mean 'depot'?"),
    ('head("stop") > 1.0', "no head 'stop' in this file's 'heads'; there is crossing"),
    ('mode("sport")', "no drive mode 'sport'; there is unknown, parked, manual, assisted"),
    ('flicker("pedestrain", "2s") > 3', "unknown kind 'pedestrain' - did you mean 'pedestrian'?"),
    ('disagree("front", "narow")', "no camera 'narow' on this vehicle - did you mean 'narrow'?"),
    ('disagree("front", "front")', "disagree() compares 'front' with itself"),
    # types
    ("V.Speed / 2 > 1.0", "'/' does not mix (double, int); write 2.0 for a double, or double(n)"),
    ('V.Speed < "four"', "no matching overload for '_<_' applied to '(double, string)'"),
    ("V.Speed", "is a double; a condition is a bool, true or false"),
    ('held(V.Speed, "2s")', 'held is written held(condition, "2s"); it does not take (double, string)'),
    ("held(V.On, 2)", 'held is written held(condition, "2s"); it does not take (bool, int)'),
    ("held(V.On)", 'held is written held(condition, "2s")'),
    ('V.On.held("2s")', 'held is written held(condition, "2s")'),
    ('rate(V.On, "1s") > 1.0', 'rate is written rate(number, "1s"); it does not take (bool, string)'),
    ('count_over(V.Speed, "1s") > 1', "it does not take (double, string)"),
    ('mean_over(detections, "1s") > 1.0', "mean_over is written"),
    ('previous(V.Gear == "PARK" ? "a" : "b") == "a"', "previous is written previous(value)"),
    ('"lorry" in ["lorry"] && detections.size() > 0', "text is compared as a field with a literal"),
    ("detections.exists(d, d.kind == d.camera)", "text is compared as a field with a literal"),
    ('detections.exists(d, d.score == "high")', "text is compared as a field with a literal"),
    # windows
    ('held(V.On, "61s")', "'61s' looks back too far: at most 60 s are possible"),
    ('held(V.On, "0s")', "'0s' is not a positive whole number of nanoseconds"),
    ('held(V.On, "0.5ns")', "is not a positive whole number of nanoseconds"),
    ('held(V.On, "-2s")', "'-2s' is not a duration such as 300ms, 5s or 1.5min"),
    ('held(V.On, "soon")', "'soon' is not a duration"),
    ('held(V.On, duration("soon"))', "'soon' is not a duration"),
    (f'held(V.On, "{"9" * 50}s")', "is not a duration"),
    ('held(V.On, duration("1s") + duration("2s"))', 'a window is a literal, as in "2s" or duration("2s")'),
    ('held(V.On, V.On ? "2s" : "3s")', "a window is a literal"),
    ("detections.exists(d, held(V.On, d.kind))", "a window is a literal"),
    ("since(V.On) < 61.0", "'61 s' looks back too far"),
    ("since(V.On) < 0", "'0 s' is not a positive whole number of nanoseconds"),
    ("since(V.On) > -1.0", "is not a positive whole number"),
    ("since(V.On) < 1e999", "looks back too far"),
    # since
    ("since(V.On) == 3.0", "since() is compared with a number of seconds, as in since(x) < 3.0"),
    ("since(V.On) < V.Speed", "since() is compared with a number of seconds"),
    ("since(V.On) + 1.0 < 3.0", "since() is compared with a number of seconds"),
    ("since(V.On) in [1.0]", "since() is compared with a number of seconds"),
    ("since(V.On) < since(!V.On)", "since() is compared with a number of seconds"),
    # literals
    ("detections.exists(d, flicker(d.kind, '2s') > 1)", 'names are literals here: flicker("pedestrian", "2s")'),
    ("detections.exists(d, disagree('front', d.camera))", "names are literals here"),
    ("detections.exists(d, within(d.kind))", "names are literals here"),
    # a single detection has no past
    ('detections.exists(d, held(d.score > 0.5, "2s"))',
     "character 26: held() looks back at a single detection, which has no past of its own; ask about all of them, as in"),
    ("detections.exists(d, since(d.score > 0.5) < 2.0)", "since() looks back at a single detection"),
    ('detections.exists(d, d.kind == "car" && rate(d.distance_m, "1s") < -3.0)', "rate() looks back at a single"),
    # what CEL has and conditions don't
    ("detections.exists(d, d.source.matches('(a+)+$'))",
     "function 'matches' is not possible in conditions: conditions have no regular expressions"),
    ("V.Speed.matches('(a+)+$')", "conditions have no regular expressions"),
    ("matches('aaaaaaaaaaaaaaaa!', '(a+)+$') && V.On", "conditions have no regular expressions"),
    ("detections.exists(d, d.kind.startsWith('ped'))", "text is compared whole, with == or 'in'"),
    ("detections.exists(d, d.kind.size() > 3)", "does not take (text)"),
    ("timestamp('2026-01-01T00:00:00Z').getHours() > 3", "conditions have no calendar"),
    ("duration('1s') < duration('2s') && V.On", "function 'duration' is not possible in conditions"),
    ('{"a": 1}["a"] == 1', "[...] is not possible in conditions: there are no maps"),
    ("detections[0].score > 0.5", "lists have no positions"),
    ('{"a": V.Speed}.a > 1.0', "'a' is not a field of a loop's variable"),
    ("string(V.Speed) == '3'", "function 'string' is not possible in conditions: the only conversion is double(n)"),
    ("int(V.Speed) > 3", "the only conversion is double(n)"),
    ("V.Speed == null", "no matching overload"),
    ("3u < 4u && V.On", "unsigned"),
    ("has(V.Speed)", "a signal has no has(); what was never received is unknown"),
    ("has(V.On)", "a signal has no has()"),
    ("detections.exists(d, has(d.score))", "every detection has it; has() is for center_x, center_y, closing_mps, direction_deg, distance_m"),
    ("detections.exists(d, detections.exists(e, e.x1 < d.x1))", "'d' belongs to a loop around this one"),
    ("detections.exists(d, d == d)", "'d' is a whole detection; name one of its fields"),
    ("detections.map(d, d.score).exists(s, s > 0.5)", "this loop is not possible; use exists, all, exists_one, or filter"),
    ("detections.exists(detections, detections.score > 0.5)", "'detections' is already a name"),
    ("detections == []", "lists and maps of literals are only possible after 'in'"),
    ("V.Speed > 1e999", "not a finite number"),
    ("V.Speed in [V.Gear, 1.0]", "'in' takes a list of literals"),
    ("detections.size() in detections.map(d, 1)", "'in' takes a list of literals"),
    ("V.Speed > double(9007199254740992)", "integers stay below 2**53"),
    ("1 < 2", "refers to no signal and to no detection: nothing would ever evaluate it"),
    ("V.Speed >", "Syntax error"),
    # bounds
    (" || ".join(f"V.Speed == {n}.0" for n in range(100)), f"nodes; 1 to {MAX_NODES} are allowed"),
    ("V.Speed" + " + 1.0" * 40 + " > 3.0", "nested deeper than 32"),
    ("V.Speed" + " + 1.0" * 400 + " > 3.0", "nested deeper than 32"),
    ("(" * 300 + "V.On" + ")" * 300, "nested deeper than 32"),
    ("!(" * 300 + "V.On" + ")" * 300, "nested deeper than 32"),
    ("[" * 300 + "]" * 300 + " == 1", "nested deeper than 32"),
    ("V.On ? (" * 100 + "V.On" + ") : V.On" * 100, "nested deeper than 32"),
    (" || ".join(f'held(V.On, "{n + 1}s")' for n in range(MAX_TEMPORAL + 1)),
     f"more than {MAX_TEMPORAL} functions that look back"),
    ('held(held(held(held(held(V.On, "1s"), "2s"), "3s"), "4s"), "5s")',
     "functions that look back, nested more than 4 deep"),
]  # fmt: skip


@pytest.mark.parametrize(("source", "reason"), BAD, ids=[source[:40] for source, _ in BAD])
def test_bad_condition(source: str, reason: str) -> None:
    with pytest.raises(ConditionError) as caught:
        compiled(source)
    assert reason in str(caught.value)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_usage_is_right(name: str) -> None:
    usage = FUNCTIONS[name].usage
    for named, written_as in (("condition", "V.On"), ("number", "V.Speed"), ("value", "V.On")):
        usage = usage.replace(named, written_as)
    usage = usage.replace('"zone"', '"depot"').replace('"name"', '"crossing"')
    is_condition = name == "since" or FUNCTIONS[name].overloads[0].result == "bool"
    compiled(usage if is_condition else f"{usage} > 0")


PIECES = (
    *("V.On", "V.Speed", "V.Gear", "detections", "d", "d.kind", "d.score", "d.ttc_s", "x", "true", "null"),
    *("1", "2.5", "-3", "4u", '"2s"', '"car"', '"front"', '"PARK"', "[1, 2]", "{}", "b'x'", 'duration("1s")'),
    *(
        "&&",
        "||",
        "!",
        "==",
        "!=",
        "<",
        ">=",
        "+",
        "-",
        "*",
        "/",
        "%",
        "?",
        ":",
        ".",
        ",",
        "in",
        "(",
        ")",
        "[",
        "]",
    ),
    *(".exists(d, ", ".filter(d, ", ".map(d, ", ".all(d, ", ".size()", ".matches(", "has(", "size("),
    *(f"{name}(" for name in FUNCTIONS),
)


@settings(max_examples=500, deadline=None)
@given(st.one_of(st.lists(st.sampled_from(PIECES), max_size=14).map(" ".join), st.text(max_size=30)))
def test_any_text_is_a_program_or_is_refused(source: str) -> None:
    try:
        program = compiled(source)
    except ConditionError:
        return
    assert program.nodes


def test_equal_expressions_are_one_node() -> None:
    once = compiled("V.Speed > 3.0")
    thrice = compiled("V.Speed > 3.0 || !(V.Speed > 3.0)")
    assert len(thrice.nodes) == len(once.nodes) + 2


def test_what_nothing_needs_is_not_sent() -> None:
    assert len(compiled("!!!V.On").nodes) == 2
    assert len(compiled("!!V.On").nodes) == 1


def test_numbers_keep_their_types() -> None:
    program = compiled("V.Speed > 1 && V.Speed < 1.0")
    literals = [node.value for node in program.nodes if isinstance(node.value, int | float)]
    assert [type(value) for value in literals] == [int, float]
