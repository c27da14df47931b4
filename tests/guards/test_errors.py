"""One definition of each refusal serves every door."""

from __future__ import annotations

import ast
import copy
import inspect
import pickle

import pytest
from package import SRC, files, tree

from keepwell import errors
from keepwell.errors import KeepwellError

ERRORS = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, BaseException)]
NAMES = {kind.__name__ for kind in ERRORS}
SIGNALS = {"NotNow"}  # passes between two functions of one file and never leaves it


@pytest.mark.parametrize("kind", ERRORS, ids=lambda kind: kind.__name__)
def test_every_error_descends_from_the_root_and_serves_every_door(kind: type[BaseException]) -> None:
    assert issubclass(kind, KeepwellError)
    assert 400 <= kind.status <= 599
    assert kind.headline and not kind.headline.endswith(".")
    assert kind.exit_code in (1, 2)
    assert kind.__doc__


@pytest.mark.parametrize("kind", ERRORS, ids=lambda kind: kind.__name__)
def test_every_error_is_drawn_in_the_tree_at_the_top_of_the_room(kind: type[BaseException]) -> None:
    assert errors.__doc__ is not None
    assert kind.__name__ in errors.__doc__


def test_errors_are_defined_in_one_room() -> None:
    bases = NAMES | {"Exception", "BaseException", "RuntimeError", "ValueError"}
    wrong = [
        f"{path.relative_to(SRC)}: {node.name}"
        for path in files()
        if path.parent.name != "errors"
        for node in ast.walk(tree(path))
        if isinstance(node, ast.ClassDef)
        and node.name not in SIGNALS
        and any(ast.unparse(base).split(".")[-1] in bases for base in node.bases)
    ]
    assert wrong == []


def test_no_error_is_swallowed_in_silence() -> None:
    """A broad `except` whose body is only `pass` hides what happened; a narrow one says what it expects."""
    broad = {"", "Exception", "BaseException", "KeepwellError", "OSError"}
    wrong = [
        f"{path.relative_to(SRC)}:{node.lineno}"
        for path in files()
        for node in ast.walk(tree(path))
        if isinstance(node, ast.ExceptHandler)
        and (ast.unparse(node.type) if node.type else "") in broad
        and all(isinstance(line, ast.Pass) for line in node.body)
    ]
    assert wrong == []


def test_an_error_crosses_a_process_with_its_facts() -> None:
    error = errors.VersionNotFound("rain", 7, [1, 2])
    for other in (copy.copy(error), pickle.loads(pickle.dumps(error))):
        assert (type(other), str(other), other.facts) == (type(error), str(error), error.facts)
