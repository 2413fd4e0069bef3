"""The example of docs/signals.md is what happens."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path

import pytest

from fsd_tools.main import main

PAGE = Path(__file__).resolve().parents[2] / "docs" / "signals.md"


def test_the_example_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    blocks = re.findall(r"```(\w*)\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    text = dict(blocks)
    for name, language in (("car.dbc", "dbc"), ("own.vspec", "yaml"), ("car.toml", "toml")):
        (tmp_path / name).write_text(text[language], encoding="utf-8")
    session = next(body for _, body in blocks if body.startswith("$ fsdctl"))
    commands = re.findall(r"^\$ fsdctl (.*)\n((?:(?!\$ ).*\n)*)", session, re.MULTILINE)
    assert len(commands) == 2
    for words, wanted in commands:
        with contextlib.chdir(tmp_path):
            assert main(words.split()) == 0
        said = capsys.readouterr().out
        assert [line.split() for line in said.splitlines()] == [line.split() for line in wanted.splitlines()]
