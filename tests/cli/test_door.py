"""What every command does alike: help, errors, JSON, exit codes."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import pytest
import typer
from typer.testing import CliRunner

from keepwell.cli import app
from keepwell.cli.door import command, plain, read_moment, read_span

ROOT = typer.main.get_command(app)
GROUPS = [name for name, found in ROOT.commands.items() if hasattr(found, "commands")]
EVERY = [(name,) for name in ROOT.commands] + [(group, name) for group in GROUPS for name in ROOT.commands[group].commands]


@pytest.mark.parametrize("words", EVERY, ids=" ".join)
def test_every_command_has_help_with_two_examples(kw, words):
    shown = kw(*words, "--help")
    assert shown.exit_code == 0
    examples = shown.stdout.split("Examples")[1].strip().splitlines()
    assert sum("keepwell " in line for line in examples) >= 2


def test_no_word_of_help_is_taken_for_markup():
    """Rich would read [watch] as a style, and show nothing."""
    commands = [ROOT.commands[words[0]].commands[words[1]] if len(words) > 1 else ROOT.commands[words[0]] for words in EVERY]
    told = [text for one in commands for text in (one.help, *(getattr(param, "help", "") for param in one.params)) if text]
    assert [text for text in told if re.search(r"(?<!\\)\[[a-z]", text)] == []


def test_h_is_help(kw):
    assert "Turn the loop" in kw("-h").stdout


def test_help_fits_a_screen(kw):
    assert len(kw("--help").stdout.splitlines()) <= 90


def test_a_folder_without_project_is_a_settings_error(kw, tmp_path):
    shown = kw("status", "-C", tmp_path)
    assert shown.exit_code == 2
    assert shown.stdout == ""
    assert "No keepwell.toml" in shown.stderr
    assert "keepwell init NAME" in shown.stderr


def test_an_error_is_one_json_document(kw, tmp_path):
    shown = kw("status", "--json", "-C", tmp_path)
    assert shown.exit_code == 2
    assert json.loads(shown.stdout)["error"]["error"] == "ProjectNotFound"
    assert shown.stderr == ""


def test_a_wrong_command_line_is_json_too(kw):
    shown = kw("run", "--as-of", "yesterday", "--json")
    assert shown.exit_code == 2
    assert "not a time such as" in json.loads(shown.stdout)["error"]["message"]


def test_an_unknown_command_names_the_nearest(kw):
    shown = kw("stats")
    assert shown.exit_code == 2
    assert "status" in shown.stderr


def test_the_folder_may_come_before_the_command_or_from_the_environment(kw, tiny):
    assert kw("-C", tiny, "versions").stdout == kw("versions", "--project", tiny).stdout
    assert kw("versions", env={"KEEPWELL_PROJECT": str(tiny)}).exit_code == 0


def test_the_folder_reaches_commands_of_a_group(kw, tiny):
    assert kw("-C", tiny, "quarantine", "list").exit_code == 0


def lone(function):
    """An app of one guarded command."""
    app = typer.Typer()
    app.command()(command(function))
    return app


def test_an_interrupt_leaves_with_130_and_says_that_nothing_is_lost():
    def stop() -> None:
        raise KeyboardInterrupt

    shown = CliRunner().invoke(lone(stop), [])
    assert shown.exit_code == 130
    assert "Nothing is lost" in shown.stderr


def test_an_unexpected_error_shows_no_traceback():
    def break_() -> None:
        raise ZeroDivisionError("by zero")

    shown = CliRunner().invoke(lone(break_), [])
    assert shown.exit_code == 1
    assert "ZeroDivisionError: by zero" in shown.stderr
    assert "Traceback" not in shown.stderr


def test_debug_lets_the_traceback_through(monkeypatch):
    def break_() -> None:
        raise ZeroDivisionError("by zero")

    monkeypatch.setenv("KEEPWELL_DEBUG", "1")
    with pytest.raises(ZeroDivisionError):
        CliRunner().invoke(lone(break_), [], catch_exceptions=False)


@pytest.mark.parametrize("text", ["", "d", "0d", "-1d", "7x", "1e999d"], ids=repr)
def test_a_span_that_is_none_is_refused(text):
    with pytest.raises(typer.BadParameter):
        read_span(text)


def test_a_moment_without_zone_is_utc():
    assert read_moment("2026-03-01").isoformat() == "2026-03-01T00:00:00+00:00"
    assert read_moment("2026-03-01T06:00+02:00").isoformat() == "2026-03-01T04:00:00+00:00"


def test_numbers_that_are_none_become_null():
    assert plain({"a": float("nan"), "b": (1, float("inf"))}) == {"a": None, "b": [1, None]}


def test_help_loads_nothing_heavy():
    code = "import sys, keepwell.cli; print([m for m in ('polars', 'sklearn', 'sqlalchemy', 'pydantic', 'dbos') if m in sys.modules])"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env={"PYTHONPATH": ":".join(sys.path)})
    assert shown.stdout.strip() == "[]"
