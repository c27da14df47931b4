"""A file holds one idea, and its name says which."""

from __future__ import annotations

import re

from longest import LONGEST, TESTS
from package import ROOT, files

MOST_LINES = 700
SECOND_IDEA = 350  # from here on: `python tests/guards/test_sizes.py` lists them
EMPTY_NAMES = {"utils", "util", "helpers", "helper", "common", "base", "misc", "manager", "managers", "core", "lib", "tools"}
UNFINISHED = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b|^\s*\.\.\.\s*$|raise NotImplementedError\s*$", re.MULTILINE)


def test_no_file_is_too_long_to_finish_in_one_sitting() -> None:
    everything = [*files(), *ROOT.glob("tests/**/*.py"), *ROOT.glob("benchmarks/**/*.py"), *ROOT.glob("docs/*.py")]
    assert [str(path.relative_to(ROOT)) for path in everything if _lines(path) > MOST_LINES] == []


def test_no_file_has_a_name_that_could_hold_anything() -> None:
    assert [str(path) for path in files() if path.stem in EMPTY_NAMES or path.parent.name in EMPTY_NAMES] == []


def test_nothing_is_left_as_a_stub() -> None:
    found = [f"{path.relative_to(ROOT)}: {hit[0].strip()}" for path in files() for hit in UNFINISHED.finditer(path.read_text("utf-8"))]
    assert [line for line in found if line not in ABSTRACT] == []


ABSTRACT = {"src/keepwell/training/boosters.py: raise NotImplementedError"}  # NativeModel.answer: each library answers in its own way


def test_the_files_that_begin_first_are_there() -> None:
    assert [name for name in LONGEST if not (TESTS / name).is_file()] == []


def _lines(path) -> int:
    return path.read_text("utf-8").count("\n")


if __name__ == "__main__":
    for path in files():
        if _lines(path) > SECOND_IDEA:
            print(_lines(path), path.relative_to(ROOT))
