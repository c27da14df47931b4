"""Files that change while Keepwell runs."""

from pathlib import Path

import pytest
from projects import MODEL, tiny_project

from keepwell import Project
from keepwell.errors import FunctionBroken
from keepwell.orchestration import reload_code


def test_changed_code_is_used_from_then_on(tmp_path: Path) -> None:
    folder = tiny_project(tmp_path / "tiny")
    with Project(folder) as project:
        before = project.context.code.digest
        assert reload_code(project.context) is None
        (folder / "model.py").write_text(MODEL.replace("horizon_days=1", "horizon_days=2"))
        assert before[:12] in (reload_code(project.context) or "")
        assert (project.context.model.horizon_days, project.context.code.digest == before) == (2, False)
        assert reload_code(project.context) is None


def test_broken_code_leaves_the_loaded_one_in_use(tmp_path: Path) -> None:
    folder = tiny_project(tmp_path / "tiny")
    with Project(folder) as project:
        code, model = project.context.code, project.context.model
        (folder / "model.py").write_text("import nothing_of_that_name")
        with pytest.raises(FunctionBroken, match="nothing_of_that_name"):
            reload_code(project.context)
        assert (project.context.code, project.context.model) == (code, model)


def test_another_key_is_another_model(tmp_path: Path) -> None:
    folder = tiny_project(tmp_path / "tiny")
    with Project(folder) as project:
        model = project.context.model
        (folder / "model.py").write_text(MODEL.replace('name="tiny"', 'name="other"'))
        assert "start Keepwell again" in (reload_code(project.context) or "")
        assert project.context.model is model
