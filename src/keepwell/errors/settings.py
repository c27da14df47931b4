"""The settings file is wrong."""

from __future__ import annotations

from keepwell.errors.root import KeepwellError


class SettingError(KeepwellError, ValueError):
    """A setting is missing, unknown or impossible."""

    status = 422
    headline = "A setting is wrong"
    exit_code = 2


class SettingInvalid(SettingError):
    """A setting has a value it cannot have."""

    def __init__(self, setting: str, found: object, problem: str, where: str) -> None:
        can_be_explained = setting.replace(".", "").replace("_", "").isalnum() and setting != "keepwell.toml"
        hint = f" `keepwell config explain {setting}` says what it may be." if can_be_explained else ""
        super().__init__(
            f"Setting '{setting}' in {where} is {found!r}: {problem}.{hint}",
            setting=setting,
            found=found,
            problem=problem,
            where=where,
        )


class SettingUnknown(SettingError):
    """A setting does not exist; the nearest name is offered."""

    def __init__(self, setting: str, nearest: str | None, where: str) -> None:
        hint = f"Did you mean '{nearest}'?" if nearest else "`keepwell config explain` lists all settings."
        super().__init__(f"There is no setting '{setting}' (found in {where}). {hint}", setting=setting, nearest=nearest, where=where)
