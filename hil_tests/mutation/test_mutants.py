"""The tool itself: which mutants it makes, what it leaves alone, and that a verdict is what the tests say."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from hil_tests.mutation.__main__ import ALLOWED, main
from hil_tests.mutation.allowed import Allowed, AllowedError, proposal, read_allowed
from hil_tests.mutation.covered import COVERED, ROOT, sources_of_enums
from hil_tests.mutation.mutants import Mutant, enums_of, mutants_of
from hil_tests.mutation.report import Result, Told, Tried, as_markdown, diff, judge, read_report, told_of

ENUMS = {"Colour": ("RED", "GREEN", "BLUE")}


def lines(source: str) -> list[str]:
    """Each mutant as the changed file, where the change is in one line; whitespace as it is."""
    return [mutant.of(source.encode()).decode() for mutant in mutants_of(source.encode(), ENUMS)]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("x = a < b", {"x = (a <= b)", "x = (a >= b)"}),
        ("x = a is not b", {"x = (a is b)"}),
        ("x = a < b in c", {"x = (a <= b in c)", "x = (a >= b in c)", "x = (a < b not in c)"}),
        ("x = a and b", {"x = (a or b)", "x = a", "x = b"}),
        ("x = not a", {"x = a"}),
        ("x = -a + b", {"x = a + b", "x = (-a - b)"}),
        ("x += a", {"x -= a"}),
        ("x = 7", {"x = 8", "x = 6"}),
        ("x = True", {"x = False"}),
        ("x = 2.0", {"x = 2.2", "x = 1.8"}),
        ("x = 'a'", {"x = 'aX'"}),
        ("x = b'a'", {"x = b'aX'"}),
        ("x = 'left'", {"x = 'right'"}),
        (
            r"x = r'^[a-z]{1,8}\Z'",
            {
                r"x = '^[a-z]{1,8}\\ZX'", "x = '^[a-z]{1,8}'", r"x = '[a-z]{1,8}\\Z'", r"x = '^.{1,8}\\Z'",
                r"x = '^[a-z]{0,8}\\Z'", r"x = '^[a-z]{2,8}\\Z'", r"x = '^[a-z]{1,7}\\Z'", r"x = '^[a-z]{1,9}\\Z'",
            },
        ),
        (r"x = r'a{0}\Z'", {r"x = 'a{0}\\ZX'", "x = 'a{0}'", r"x = 'a{1}\\Z'"}),
        ("x = Colour.BLUE", {"x = (Colour.RED)"}),
        ("x = a if b else c", {"x = a if True else c", "x = a if False else c"}),
        ("x = [a, b]", {"x = ([b])", "x = ([a])"}),
        ("x = {a}", {"x = set()"}),
        ("x = {a: b}", {"x = ({})"}),
        ("x = a[b:c]", {"x = (a[:c])", "x = (a[b:])"}),
        ("x = a[b, :c]", {"x = (a[:c,])", "x = (a[b,])", "x = (a[b, :])"}),
        ("x = min(a, b)", {"x = max(a, b)"}),
        ("x = f(a)", {"x = a"}),
        ("x = C(a)", set()),
        ("x = a.f()", {"x = a"}),
        ("x = f(a, b=c)", {"x = f(a)"}),
        ("x = [a for a in b if c]", {"x = [a for a in (()) if c]", "x = [a for a in b if True]"}),
        ("f(a, b)", {"pass"}),
        ("x.y = a", {"pass"}),
        ("def f():\n    return a", {"def f():\n    return None"}),
        ("def f():\n    return None", set()),
        ("for a in b:\n    continue", {"for a in (()):\n    continue", "for a in b:\n    pass"}),
        ("while a:\n    b = c", {"while False:\n    b = c"}),
        ("if a:\n    b = c", {"if True:\n    b = c", "if False:\n    b = c"}),
        ("try:\n    a = b\nexcept C:\n    raise", {
            "try:\n    a = b\nexcept (()):\n    raise", "try:\n    a = b\nexcept C:\n    pass"}),
        ("x = f'{a + 1}é'", {"x = ''", "x = (f'{a - 1}é')", "x = (f'{a + 2}é')", "x = (f'{a + 0}é')", "x = (f'{a + 1}éX')"}),
        ("é = 'é'; x = a < b", {"é = 'éX'; x = a < b", "é = 'é'; x = (a <= b)", "é = 'é'; x = (a >= b)"}),
    ],
)  # fmt: skip
def test_the_mutants_of_a_line(source: str, expected: set[str]) -> None:
    found = lines(source)
    assert sorted(found) == sorted(expected)


@pytest.mark.parametrize(
    "source",
    [
        '"""Doc."""',
        "import a",
        "x: tuple[int, int]",
        "X = dict[str, tuple[int, ...]]",
        "def f(a: 'str' = b) -> list[int]: ...",
        "@dataclass(frozen=True, slots=True)\nclass C: ...",
        "def f():\n    detail = f'{a + 1} is wrong'",
        "x = Rule(source='a law')",
    ],
)
def test_what_decides_nothing_is_left_alone(source: str) -> None:
    assert lines(source) == []


def test_text_for_people_is_left_alone_and_that_there_is_an_error_is_not() -> None:
    assert lines("raise BadError(f'{a + 1} is wrong', Colour.RED)") == [
        "pass",
        "raise BadError(f'{a + 1} is wrong', (Colour.GREEN))",
    ]


def test_limits_inside_annotations_are_not_left_alone() -> None:
    assert "x: Annotated[int, Meta(ge=2)]" in lines("x: Annotated[int, Meta(ge=1)]")
    assert "x: Annotated[int, Meta()]" in lines("x: Annotated[int, Meta(ge=1)]")
    assert lines("x: Literal[2]") == ["x: Literal[3]", "x: Literal[1]"]


SOURCE = """
class C:
    LIMIT = 1

    def f(self, a):  # comment
        if a < 1 or a < 1:
            return 2
        return a


TOP = 5
"""


def named(source: str) -> dict[tuple[str, str, str, int], Mutant]:
    return {one.name: one for one in mutants_of(source.encode(), ENUMS)}


def test_names_outlive_edits_elsewhere_and_hashes_go_with_their_scope() -> None:
    before = named(SOURCE)
    assert {scope for scope, *_ in before} == {"C.LIMIT", "C.f", "TOP"}
    assert ("C.f", "a < 1", "(a <= 1)", 2) in before
    moved = named("import x\n\n" + SOURCE.replace("# comment", "# another").replace("TOP = 5", "TOP = 6"))
    for name in before:
        if name[0] != "TOP":
            assert moved[name].code == before[name].code
            assert moved[name].line == before[name].line + 2
    changed = named(SOURCE.replace("return 2", "return 3"))
    assert changed["C.f", "a < 1", "(a <= 1)", 1].code != before["C.f", "a < 1", "(a <= 1)", 1].code
    assert changed["C.LIMIT", "1", "2", 1].code == before["C.LIMIT", "1", "2", 1].code


def test_enumerations_are_found() -> None:
    assert enums_of([b"class A(StrEnum):\n    X = '1'\n    Y = '2'\n", b"class B(Exception): ..."]) == {
        "A": ("X", "Y")
    }


@pytest.mark.parametrize("file", COVERED)
def test_covered_files_and_their_tests_are_there(file: str) -> None:
    assert [test for test in (file, *COVERED[file]) if not (ROOT / test).is_file()] == []


def test_no_two_mutants_of_a_file_have_one_name() -> None:
    source = (ROOT / "agent/fsd_agent/rules/residency/route.py").read_bytes()
    found = mutants_of(source, enums_of(sources_of_enums()))
    assert len({one.name for one in found}) == len(found) > 50
    assert any(one.was == "HoldReason.NO_REGISTRATION" and one.kind == "member" for one in found)


MUTANTS = mutants_of(SOURCE.encode(), ENUMS)
RESULT = Result("0123456789ab", 1.0, tuple(Tried(one, killed=one.scope != "TOP", by="t") for one in MUTANTS))


def allow(mutant: Mutant, code: str) -> Allowed:
    return Allowed("f.py", mutant.scope, code, mutant.was, mutant.becomes, mutant.nth, "because")


def test_a_survivor_is_explained_only_for_the_code_that_was_looked_at() -> None:
    one, other = RESULT.survivors
    judged = judge("f.py", RESULT, [allow(one, one.code), allow(other, "0" * 12)])
    assert judged.explained == ((one, "because"),)
    assert judged.unexplained == (other,)
    assert [entry.code for entry in judged.stale] == ["0" * 12]
    assert judge("g.py", RESULT, [allow(one, one.code)]).unexplained == (one, other)


def test_what_a_test_kills_now_is_allowed_in_vain() -> None:
    killed = next(one.mutant for one in RESULT.tried if one.killed)
    assert judge("f.py", RESULT, [allow(killed, killed.code)]).stale == (allow(killed, killed.code),)


def test_proposals_are_read_back_once_they_have_a_reason(tmp_path: Path) -> None:
    text = proposal("f.py", RESULT.survivors)
    path = tmp_path / "allowed.toml"
    path.write_text(text)
    with pytest.raises(AllowedError, match=r"allowed\[0\]: says nothing"):
        read_allowed(path)
    path.write_text(text.replace('why = ""', 'why = "because"'))
    assert judge("f.py", RESULT, read_allowed(path)).unexplained == ()
    path.write_text(text.replace("why", "reason"))
    with pytest.raises(AllowedError, match="needs exactly"):
        read_allowed(path)
    path.write_text("[[")
    with pytest.raises(AllowedError, match=str(path)):
        read_allowed(path)


def test_the_report_counts_tells_each_survivor_and_its_content() -> None:
    one, other = RESULT.survivors
    judged = judge("f.py", RESULT, [allow(one, one.code)])
    told = told_of(RESULT, judged, SOURCE.encode())
    text = as_markdown({"f.py": told, "sound.py": Told(3, 3, 0, 0, "ba9876543210"), "g.py": told}, "`abc`")
    total = len(MUTANTS)
    assert f"| `f.py` | {total} | {total - 2} | 1 | 1 | `0123456789ab` |" in text
    assert f"{2 * total - 1} of {2 * total + 3} mutants were killed" in text
    assert as_markdown(read_report(text), "`abc`") == text, "so what is not tried again can stay as it is"
    assert read_report(text)["f.py"] == told
    assert "because\n\n```diff\n@ TOP\n-TOP = 5\n+TOP = 6\n```" in text
    assert diff(other, SOURCE.encode()) == ["-TOP = 5", "+TOP = 4"]


def test_every_allowed_survivor_has_a_covered_file() -> None:
    assert {one.file for one in read_allowed(ALLOWED)} <= COVERED.keys()


def test_wrong_use_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["nonsense.py"]) == 2
    assert "nonsense.py: in no covered file's path" in capsys.readouterr().err


SUBJECT = """
LIMIT = 3

def within(value):
    return value <= LIMIT

def forever(value):
    while value:
        value -= 1
    return value
"""
TESTS = """
from subject import forever, within

def test_the_limit():
    assert within(3)
    assert not within(4)

def test_an_end():
    assert forever(3) == 0
"""
DRIVER = """
import json, sys
from pathlib import Path
import hil_tests.mutation.court as court
from hil_tests.mutation.mutants import mutants_of
from hil_tests.mutation.trial import warm_up
folder = Path(sys.argv[1])
sys.path.insert(0, sys.argv[1])
source = (folder / "subject.py").read_bytes()
warm_up()
case = court.Case("subject", source, [str(folder / "test_subject.py")])
told = []
try:
    mutants = [one for one in mutants_of(source, {}) if one.scope in sys.argv[2:]]
    found = court.try_all(case, mutants, jobs=2, patience_s=1.0, tell=lambda mutant, verdict: told.append(mutant.name))
except court.CourtError as error:
    print(json.dumps(str(error)))
    sys.exit()
assert sorted(told) == sorted(found)
print(json.dumps([[*name, verdict.killed, verdict.by.rpartition(":")[2]] for name, verdict in found.items()]))
"""


def tried(folder: Path, tests: str, *scopes: str) -> Any:
    """Rows of scope, was, becomes, nth, killed, by; or why nothing can be tried."""
    (folder / "subject.py").write_text(SUBJECT)
    (folder / "test_subject.py").write_text(tests)
    (folder / "pytest.ini").write_text("[pytest]\n")
    (folder / "conftest.py").write_text((ROOT / "conftest.py").read_text())
    done = subprocess.run(
        [sys.executable, "-c", DRIVER, str(folder), *scopes],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=200,
    )
    return json.loads(done.stdout)


@pytest.mark.slow
def test_verdicts_are_what_the_tests_say(tmp_path: Path) -> None:
    found = tried(tmp_path, TESTS, "LIMIT", "within", "forever")
    by = {(scope, becomes): (killed, why) for scope, _, becomes, _, killed, why in found}
    assert by["LIMIT", "4"] == (True, "test_the_limit")
    assert by["within", "(value < LIMIT)"] == (True, "test_the_limit")
    assert by["forever", "value += 1"] == (True, "time")
    assert by["forever", "2"] == (True, "time")
    assert (tmp_path / "subject.py").read_text() == SUBJECT, "nothing is written to the tree"
    assert all(killed for *_, killed, _ in found)
    careless = tried(tmp_path, TESTS.replace("    assert not within(4)\n", ""), "LIMIT")
    assert [(scope, becomes) for scope, _, becomes, _, killed, _ in careless if not killed] == [
        ("LIMIT", "4"),
    ]


def test_tests_that_fail_anyway_say_nothing_of_mutants(tmp_path: Path) -> None:
    found = tried(tmp_path, TESTS.replace("within(3)", "within(9)"), "LIMIT")
    assert found == "subject: fails without a mutant: test_subject.py::test_the_limit"
