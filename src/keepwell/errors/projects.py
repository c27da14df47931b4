"""The project's folder or the scientist's file is wrong."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from keepwell.errors.root import KeepwellError, listed


class ProjectError(KeepwellError):
    """The project folder or the scientist's file cannot be used as it is."""

    status = 422
    headline = "The project is not right yet"
    exit_code = 2


class ProjectNotFound(ProjectError, FileNotFoundError):
    """No keepwell.toml where one was expected."""

    status = 404

    def __init__(self, folder: object) -> None:
        super().__init__(
            f"No keepwell.toml in {folder}. Make a project with `keepwell init NAME`, or name its folder with `--project DIR`.",
            folder=folder,
        )


class ProjectExists(ProjectError, FileExistsError):
    """`init` would overwrite files."""

    status = 409

    def __init__(self, folder: object, files: Sequence[str]) -> None:
        super().__init__(
            f"{folder} already holds {listed(files)}. Choose another name or remove them first; nothing was written.",
            folder=folder,
            files=files,
        )


class ExtraMissing(ProjectError, ImportError):
    """Something was asked whose packages are not installed."""

    def __init__(self, extra: str, what: str) -> None:
        super().__init__(f"{what} need packages that are not installed: `pip install 'keepwell[{extra}]'`.", extra=extra)


class NameInvalid(ProjectError, ValueError):
    """A name that a model cannot have: it becomes part of paths, addresses and commands."""

    def __init__(self, name: str, where: object) -> None:
        super().__init__(
            f"'{name}' in {where} cannot be a model's name: lower case letters, digits and dashes, a letter first, such as 'rain-berlin'.",
            name=name,
            where=where,
        )


class FunctionMissing(ProjectError):
    """The model file lacks one of the four functions."""

    def __init__(self, file: object, function: str, found: Iterable[str]) -> None:
        super().__init__(
            f"{file} must give the model a function '{function}'; it gives {listed(found)}. "
            "A model needs gather, features, label and train.",
            file=file,
            function=function,
            found=list(found),
        )


class FunctionBroken(ProjectError):
    """One of the four functions raised, or returned something that cannot be used."""

    def __init__(self, function: str, problem: str, hint: str = "") -> None:
        super().__init__(f"Function '{function}' {problem}.{' ' + hint if hint else ''}", function=function, problem=problem)


class EstimatorInvalid(ProjectError, TypeError):
    """`train` returned something that cannot answer."""

    def __init__(self, found: str, missing: str) -> None:
        super().__init__(
            f"Function 'train' returned {found}, which has no '{missing}'. Return an estimator with the scikit-learn predict API.",
            found=found,
            missing=missing,
        )
