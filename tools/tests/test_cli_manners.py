"""``fsdctl`` as a person meets it: examples in every help text, one plain line for everything that goes wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fsd_tools.main import GROUPS, main

COMMANDS = [
    "drive generate", "drive info", "drive import comma2k19", "drive import jaad",
    "catalogue show", "catalogue check", "model assemble", "model verify", "model list",
    "clip info", "clip sheet", "vehicle data", "region data", "bench list", "bench report",
]  # fmt: skip


@pytest.mark.parametrize("command", ["", *sorted(GROUPS.keys() - {"demo"}), "drive import", *COMMANDS])
def test_help_has_an_example(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*command.split(), "--help"]) == 0
    said = capsys.readouterr().out
    assert f"fsdctl {command}".strip() in said.partition("\n")[2]
    assert "``" not in said
    assert "--no-" not in said
    assert max(map(len, said.splitlines())) <= 80


@pytest.mark.parametrize(
    "words",
    [[], ["vehicle"], ["vehicle", "-h"], *([group, "--help"] for group in sorted(GROUPS.keys() - {"demo"}))],
)
def test_a_list_of_commands_says_what_each_does(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 0
    _, _, listed = capsys.readouterr().out.partition("Commands ─")
    named = [line.strip("│ ") for line in listed.splitlines() if line.startswith("│ ") and line[2] != " "]
    assert named
    assert not [line for line in named if " " not in line]


def test_stars_in_an_example_stay(capsys: pytest.CaptureFixture[str]) -> None:
    main(["clip", "sheet", "--help"])
    assert "cn/store/*/*.mcap" in capsys.readouterr().out


@pytest.mark.parametrize(
    "words",
    [
        ["bogus"], ["drive", "bogus"], ["drive", "info"], ["drive", "info", "a.mcap", "--bogus"], ["clip", "info"],
        ["clip", "sheet", "-o", "s.png"], ["bench", "decode", "--rounds", "0"], ["bench"],
        ["drive", "generate", "-o", "x.mcap", "--seconds", "0"],
        ["drive", "generate", "-o", "x.mcap", "--seconds", "nan"],
        ["drive", "generate", "-o", "x.mcap", "--width", "101"],
        ["drive", "generate", "-o", "x.mcap", "--day", "--night"],
        ["drive", "import", "comma2k19", "c", "-o", "x.mcap", "--camera-at", "-1"],
        ["drive", "import", "jaad", "t.npz", "-o", "x", "--limit", "0"],
    ],
)  # fmt: skip
def test_wrong_usage_is_one_plain_line_and_2(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("fsdctl: error: ")
    assert len(said.err.splitlines()) == 1


@pytest.mark.parametrize("content", [None, b"", b"hello\n", b"\x00" * 4000, "folder"])
@pytest.mark.parametrize(
    "command",
    [
        "drive info {file}", "drive import jaad {file} -o {tmp}/j", "drive import comma2k19 {file} -o {tmp}/x.mcap",
        "clip info {file}", "clip sheet {file} -o {tmp}/s.png", "model verify {file}",
        "model assemble nanodet-m-416 --weights-from {file} -o {tmp}/pk",
        "bench report -o {tmp}/p.md --from {file}",
    ],
)  # fmt: skip
def test_a_file_that_is_none_is_named_in_one_line(
    command: str, content: bytes | str | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "given"
    if content == "folder":
        file.mkdir()
    elif isinstance(content, bytes):
        file.write_bytes(content)
    assert main(command.format(file=file, tmp=tmp_path).split()) == 1
    said = capsys.readouterr().err.strip()
    assert said.startswith(f"fsdctl: error: {file}")
    assert len(said.splitlines()) == 1
    assert "Errno" not in said
    assert "pickle" not in said


@pytest.mark.parametrize("place", ["{tmp}", "{tmp}/file/x", "{tmp}/none/x"])
@pytest.mark.parametrize(
    "command",
    [
        "drive generate --seconds 1 --width 96 --height 96 -o {out}",
        "bench report -o {out} --from {tmp}/r.json",
    ],
)
def test_a_place_that_can_not_be_written_is_named_in_one_line(
    command: str, place: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_bytes(b"")
    machine = {"cpu": "c", "cores": 1, "memory_gib": 1.0, "system": "s", "python": "3", "libraries": {}}
    (tmp_path / "r.json").write_text(json.dumps({"bench": "decode", "machine": machine, "figures": []}))
    out = place.format(tmp=tmp_path)
    assert main(command.format(out=out, tmp=tmp_path).split()) == 1
    said = capsys.readouterr().err.strip()
    assert said.startswith(f"fsdctl: error: {out}: can't be written: ")
    assert len(said.splitlines()) == 1


def test_a_package_that_can_not_be_made_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_bytes(b"")
    weights = tmp_path / "weights"
    weights.mkdir()
    assert main(["model", "assemble", "nanodet-m-416", "--weights-from", str(weights), "-o", "/proc/x"]) == 1
    assert capsys.readouterr().err.startswith(f"fsdctl: error: {weights}: no file with the weights")
