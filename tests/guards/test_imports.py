"""Life order is import order: the loop closes by a recorded decision, never by an import."""

from __future__ import annotations

from package import LEVEL, SRC, files, imports, own_imports, place_of, rooms

SHARED_INSIDE = {"storage.schema"}  # the column types every room's tables.py is written with
LATE = {("settings", "origins")}  # imported only when a setting is wrong, to say where its value came from


def test_every_module_has_a_place_in_the_order() -> None:
    places = {place_of(path) for path in files()}
    assert places <= set(LEVEL), f"give {places - set(LEVEL)} a place in tests/guards/package.py"
    assert set(rooms()) <= set(LEVEL)


def test_a_room_imports_only_what_comes_before_it_in_a_models_life() -> None:
    wrong = [
        str(found)
        for path in files()
        for found, reached, _ in own_imports(path)
        if reached != place_of(path) and LEVEL[reached] >= LEVEL[place_of(path)] and (place_of(path), reached) not in LATE
    ]
    assert wrong == []


def test_a_room_is_entered_by_its_door() -> None:
    wrong = [
        str(found)
        for path in files()
        for found, reached, is_inside in own_imports(path)
        if is_inside and reached != place_of(path) and found.module.removeprefix("keepwell.") not in SHARED_INSIDE
    ]
    assert wrong == [], "import the name from the room itself, and add it to the room's __all__"


def test_imports_are_absolute() -> None:
    assert [str(found) for path in files() for found in imports(path) if found.module.startswith(".")] == []


def test_only_one_file_knows_the_workflow_library() -> None:
    found = {str(path.relative_to(SRC)) for path in files() for one in imports(path) if one.module.split(".")[0] == "dbos"}
    assert found == {"orchestration/durable.py"}
