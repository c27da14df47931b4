"""The scientist's files may change while Keepwell runs: the next cycle uses them as they are then."""

from __future__ import annotations

from keepwell.orchestration.context import Context
from keepwell.training import Code


def reload_code(context: Context) -> str | None:
    """Use the project's Python files as they are now.

    Returns
    -------
    What happened, in a sentence; None when nothing changed. A model that got another name or another key is another model:
    the loaded one stays in use.

    Raises
    ------
    ProjectError, SettingInvalid : the files cannot be used as they are; the loaded ones stay in use.
    """
    code = Code.of(context.folder)
    if code.digest == context.code.digest:
        return None
    model, known = code.load(context.settings.model, context.home / "code"), context.model
    if (model.name, model.entity, model.time, model.task) != (known.name, known.entity, known.time, known.task):
        return f"The code changed the name, entity, time or task of '{known.name}': start Keepwell again to use it."
    before, context.code, context.model = context.code.digest, code, model
    return f"The code changed ({before[:12]} -> {code.digest[:12]}); cycles use it from now on."
