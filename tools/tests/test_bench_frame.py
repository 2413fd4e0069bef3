"""The frame that all benchmarks share: figures, turns, JSON, the page."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from fsd_tools.bench.commands import EVERY_S, Paced
from fsd_tools.bench.frame import BenchResult, Goal, figure, interleaved, this_machine
from fsd_tools.bench.paced import median_at_pace
from fsd_tools.bench.registry import BENCHES, find_bench, method_of
from fsd_tools.bench.report import Section, figures_on, number, read_result, render
from fsd_tools.data import data_dir
from fsd_tools.errors import ToolError
from fsd_tools.main import main


def result(bench: str = "decode") -> BenchResult:
    return BenchResult(
        bench,
        this_machine(),
        (
            figure("rate", 3.0, "M/s", peer="other|one", peer_value=2.0, goal=Goal(">=", 1.4)),
            figure("memory", 210.0, "MB", goal=Goal("<=", 200, "value")),
            figure("size", 12345.6, "B"),
        ),
    )


@pytest.mark.parametrize(
    ("goal", "value", "peer_value", "met"),
    [
        (Goal(">=", 1.4), 1.4, 1.0, True),
        (Goal(">=", 1.4), 1.39, 1.0, False),
        (Goal("<=", 0.5), 1.0, 2.0, True),
        (Goal("<=", 0.5), 1.1, 2.0, False),
        (Goal("<=", 200, "value"), 200.0, None, True),
        (Goal("<=", 200, "value"), 200.1, 1.0, False),
        (Goal(">=", 1.4), 5.0, None, False),
    ],
)
def test_a_goal_is_met_or_missed(goal: Goal, value: float, peer_value: float | None, met: bool) -> None:
    assert figure("x", value, "s", peer="other", peer_value=peer_value, goal=goal).met is met


def test_json_has_exactly_the_promised_keys_and_null_where_nothing_applies() -> None:
    found = json.loads(result().to_json())
    assert list(found) == ["bench", "machine", "figures"]
    keys = ["name", "value", "unit", "peer", "peer_value", "ratio", "goal", "met"]
    assert [list(one) for one in found["figures"]] == [keys] * 3
    assert found["figures"][0]["ratio"] == 1.5
    assert found["figures"][0]["goal"] == "ratio >= 1.4"
    assert found["figures"][2] == dict.fromkeys(keys) | {"name": "size", "value": 12345.6, "unit": "B"}
    assert found["machine"]["cores"] >= 1
    assert found["machine"]["libraries"]["numpy"]


def test_contenders_run_in_turns_and_the_first_round_does_not_count() -> None:
    calls: list[str] = []
    medians = interleaved(3, {"a": lambda: calls.append("a"), "b": lambda: calls.append("b")})
    assert "".join(calls) == "ba" + "ab" + "ba" + "ab"
    assert set(medians) == {"a", "b"}
    assert all(seconds >= 0 for seconds in medians.values())


def test_a_quick_contender_has_as_many_calls_a_turn_as_fill_it_and_gives_the_time_of_one() -> None:
    calls: list[str] = []

    def busy(name: str, seconds: float) -> None:
        calls.append(name)
        until = time.process_time() + seconds
        while time.process_time() < until:
            pass

    medians = interleaved(
        2, {"quick": lambda: busy("quick", 0.005), "slow": lambda: busy("slow", 0.05)}, turn_s=0.04
    )
    assert calls.count("slow") == 3
    assert 1 + 2 * 2 <= calls.count("quick") <= 1 + 2 * 8
    assert medians["quick"] < medians["slow"] / 2


def test_the_slow_first_call_is_not_in_the_median() -> None:
    state = {"first": True}

    def lazy() -> None:
        if state.pop("first", False):
            time.sleep(0.5)

    assert interleaved(1, {"lazy": lazy})["lazy"] < 0.4


def test_a_result_comes_back_from_its_json(tmp_path: Path) -> None:
    path = tmp_path / "decode.json"
    path.write_bytes(result().to_json())
    assert read_result(path) == result()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{}", "missing required field `bench`"),
        ("[", "not a benchmark's result"),
        ('{"bench": 1}', r"\$\.bench"),
    ],
)
def test_a_file_that_is_no_result_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "bad.json"
    path.write_text(text)
    with pytest.raises(ToolError, match=message):
        read_result(path)


def test_the_page_shows_method_figures_and_what_did_not_run() -> None:
    page = render(
        [Section("decode", "How it is done.", result(), None), Section("agent", "Method.", None, "no result")]
    )
    assert "## decode\n\nHow it is done.\n" in page
    assert "| rate | 3 M/s | other\\|one: 2 | 1.50 | ratio >= 1.4 met |" in page
    assert "| memory | 210 MB |  |  | value <= 200 **missed** |" in page
    assert "| size | 12,346 B |" in page
    assert "## agent\n\nMethod.\n\n**Not run here:** no result" in page


def test_what_was_not_run_again_keeps_its_figures() -> None:
    page = render(
        [Section("decode", "How it is done.", result(), None), Section("agent", "Method.", None, "no result")]
    )
    kept = figures_on(page)
    assert set(kept) == {"decode"}
    again = [
        Section("decode", "How it is done now.", None, "no result", kept["decode"]),
        Section("agent", "Method.", None, "no result", kept.get("agent", "")),
    ]
    assert render(again) == page.replace("How it is done.", "How it is done now.")
    assert figures_on(render(again)) == kept
    assert figures_on("# Another page\n\n## With\n\nno figures\n") == {}


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0"), (None, ""), (0.01234, "0.0123"), (63.0, "63"), (31.46, "31.5"), (1234567.8, "1,234,568")],
)
def test_numbers_for_people(value: float | None, text: str) -> None:
    assert number(value) == text


def test_every_benchmark_states_its_method() -> None:
    for bench in BENCHES.values():
        assert len(method_of(bench)) > 100


def test_an_unknown_benchmark_lists_those_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "nonsense"]) == 1
    assert (
        "no benchmark named 'nonsense'; there are: agent, check, confirm, decode, detect"
        in capsys.readouterr().err
    )
    with pytest.raises(ToolError, match="isn't installed"):
        replace(find_bench("decode"), target="fsd_missing:run").load()


def test_progress_in_a_log_is_the_first_and_then_one_in_a_while() -> None:
    told: list[str] = []
    now = [100.0]
    tell = Paced(told.append, lambda: now[0])
    for text, after_s in (("a", 0), ("b", EVERY_S - 0.1), ("c", 0.1), ("d", 0.1), ("e", EVERY_S)):
        now[0] += after_s
        tell(text)
    assert told == ["a", "c", "e"]


def test_list_names_all(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "list"]) == 0
    listed = capsys.readouterr().out
    assert all(name in listed for name in BENCHES)


def test_the_page_is_made_from_given_results_without_running_anything(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given, page = tmp_path / "decode.json", tmp_path / "performance.md"
    given.write_bytes(result().to_json())
    assert main(["bench", "report", "-o", str(page), "--from", str(given)]) == 0
    text = page.read_text(encoding="utf-8")
    assert "cantools" in text
    assert text.count("**Not run here:** no result was given") == len(BENCHES) - 1
    assert main(["bench", "report", "-o", str(page), "--from", str(given), str(given)]) == 1
    assert "two results of benchmark decode" in capsys.readouterr().err


def test_a_benchmark_without_its_data_says_what_it_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FSD_DATA", str(tmp_path / "nowhere"))
    for name in ("decode", "detect"):
        assert main(["bench", name]) == 1
        assert f"{tmp_path / 'nowhere'}" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.skipif(
    not (data_dir() / "comma2k19").is_dir(), reason=f"no comma2k19 in {data_dir()} (FSD_DATA)"
)
def test_decode_runs_and_every_value_equals_cantools(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "decode", "--rounds", "1", "--json"]) == 0
    figures = {one["name"]: one for one in json.loads(capsys.readouterr().out)["figures"]}
    assert figures["values that equal cantools'"]["value"] > 400_000
    assert figures["frames decoded, batches of 1000 ms"]["peer_value"] > 0


def test_work_at_its_pace_is_done_in_turns_and_the_first_is_not_counted() -> None:
    done: list[str] = []
    contenders = {name: [partial(done.append, f"{name}{i}") for i in range(2)] for name in "ab"}
    spent = median_at_pace(0.001, 2, contenders)
    assert done == ["a0", "a1", "b0", "b1"] * 3
    assert spent.keys() == {"a", "b"}
