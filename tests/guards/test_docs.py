"""What the documents say is there, is there; what is there, they say."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import generate
import pytest
import typer
from package import ROOT

DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
COMMAND = re.compile(r"(?<![\w./-])keepwell (?:[a-z-]|-C)[^`#|&;\n]*")
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")
CLI = typer.main.get_command(__import__("keepwell.cli", fromlist=["app"]).app)


@pytest.mark.parametrize("path", generate.PAGES, ids=str)
def test_a_generated_page_is_fresh(path: str) -> None:
    """`make docs` writes them; a setting, command, route, error or table that changed makes them stale."""
    assert (ROOT / "docs" / path).read_text("utf-8") == generate.PAGES[path](), "run `make docs`"


def commands_in(path: Path) -> list[str]:
    """Each `keepwell ...` line of a document's shell blocks and code spans."""
    text = path.read_text("utf-8")
    lines = [line for kind, body in BLOCK.findall(text) if kind in ("sh", "console") for line in body.splitlines()]
    lines = [line.removeprefix("$ ") for line in lines if not line.startswith("#")]
    lines += re.findall(r"`(keepwell [^`]+)`", BLOCK.sub("", text))
    return sorted({match[0].strip() for line in lines for match in COMMAND.finditer(line) if "…" not in line})


WRITTEN = [(path, line) for path in DOCUMENTS for line in commands_in(path)]


@pytest.mark.parametrize(("path", "line"), WRITTEN, ids=[f"{path.name}: {line}" for path, line in WRITTEN])
def test_a_command_in_the_documents_parses(path: Path, line: str) -> None:
    words = [word for word in shlex.split(line)[1:] if not re.fullmatch(r"[A-Z.]+|>", word) or word == "-C"]
    context, command = click.Context(CLI, info_name="keepwell"), CLI
    while getattr(command, "commands", None):
        if words[:1] == ["-C"]:
            words = words[2:]
            continue
        if not words or words[0].startswith("-"):
            return
        assert words[0] in command.commands, f"{path.name} names `{line}`; there is no '{words[0]}'"
        command = command.commands[words.pop(0)]
    known = {option for parameter in command.get_params(context) for option in (*parameter.opts, *parameter.secondary_opts)}
    given = {word.split("=")[0] for word in words if re.match(r"--?[a-z]", word)}
    assert given <= known, f"{path.name} names `{line}`; `{command.name}` knows {sorted(known)}"


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_a_link_leads_somewhere(path: Path) -> None:
    inside = [link for link in LINK.findall(path.read_text("utf-8")) if "://" not in link]
    assert [link for link in inside if not (path.parent / link).exists()] == []


def test_the_readme_and_ci_run_the_same_tests() -> None:
    script = ROOT / ".ci" / "run"
    assert script.stat().st_mode & 0o111, "it must be executable"
    command = script.read_text("utf-8").strip().splitlines()[-1]
    assert re.search(rf"^{re.escape(command)}$", (ROOT / "README.md").read_text("utf-8"), re.MULTILINE)


def test_recipes_named_in_the_documents_exist() -> None:
    recipes = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    named = {found for path in DOCUMENTS for found in re.findall(r"`make ([a-z]+)`|^make ([a-z]+)$", path.read_text("utf-8"), re.MULTILINE)}
    assert {one or other for one, other in named} <= recipes


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-dev.lock"])
def test_a_lock_names_bytes_and_no_place(name: str) -> None:
    text = (ROOT / name).read_text("utf-8")
    assert not re.search(r"https?:|file:|--index-url|--find-links|^-e|(?<![\w/])/\w", text, re.MULTILINE)
    pins = re.findall(r"^[\w.-]+==", text, re.MULTILINE)
    assert len(pins) > 30
    assert len(re.findall(r"^[\w.-]+==\S+(?: ; .*)? \\$", text, re.MULTILINE)) == len(pins), "every pin carries its hashes"


def test_both_locks_agree() -> None:
    locks = [(ROOT / name).read_text("utf-8") for name in ("requirements.lock", "requirements-dev.lock")]
    runtime, dev = (dict(re.findall(r"^([\w.-]+)==(\S+)", text, re.MULTILINE)) for text in locks)
    assert {name: dev.get(name) for name in runtime} == runtime
