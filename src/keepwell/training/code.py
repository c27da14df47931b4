"""The scientist's code as an artifact: taken before a step runs, loaded from the copy, so that what ran is what is kept."""

from __future__ import annotations

import importlib.util
import io
import json
import os
import subprocess
import sys
import threading
import zipfile
from dataclasses import asdict, dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from keepwell.errors import FunctionBroken, FunctionMissing, SettingInvalid, StorageUnavailable
from keepwell.model import FUNCTIONS, Model, Task
from keepwell.settings import ModelSection
from keepwell.storage import ArtifactStore, digest_of

SKIPPED = {"__pycache__", "node_modules", "venv", "site-packages", "build", "dist", "tests"}
MAX_BYTES = 20 << 20
_loading = threading.Lock()


@dataclass(frozen=True)
class Outline:
    """What the record must know of a model before, and without, importing it."""

    name: str
    entity: str | None
    time: str
    task: Task


@dataclass(frozen=True)
class Code:
    """All Python files of a project folder, as one archive named by its digest."""

    digest: str
    archive: bytes

    @classmethod
    def of(cls, folder: Path) -> Code:
        """Read the folder's Python files as they are now.

        Raises
        ------
        StorageUnavailable : there are more than 20 MB of them; a data folder was probably meant to be elsewhere.
        """
        files: dict[str, bytes] = {}
        for parent, folders, names in os.walk(folder):
            folders[:] = sorted(name for name in folders if name not in SKIPPED and not name.startswith("."))
            for name in sorted(names):
                if name.endswith(".py"):
                    path = Path(parent, name)
                    files[path.relative_to(folder).as_posix()] = path.read_bytes()
        if sum(map(len, files.values())) > MAX_BYTES:
            raise StorageUnavailable(str(folder), "it holds more than 20 MB of Python files")
        archive = _zip(files)
        return cls(digest_of(archive), archive)

    @classmethod
    def get(cls, artifacts: ArtifactStore, digest: str) -> Code:
        """The code kept under `digest`."""
        return cls(digest, artifacts.get(digest))

    def files(self) -> dict[str, str]:
        """Path -> text."""
        with zipfile.ZipFile(io.BytesIO(self.archive)) as archive:
            return {name: archive.read(name).decode("utf-8", "replace") for name in archive.namelist()}

    def load(self, where: ModelSection, cache: Path) -> Model:
        """Import the model from this copy; `cache` is a folder for unpacked copies.

        Raises
        ------
        SettingInvalid : the file or the attribute named in ``[model]`` is not there.
        FunctionBroken : importing the file raised.
        FunctionMissing : one of the four functions is not a function.
        """
        if where.file not in self.files():
            raise SettingInvalid(
                "model.file", where.file, f"there is no such file; Python files here: {', '.join(self.files()) or 'none'}", "keepwell.toml"
            )
        module = _import(self._unpacked(cache), where.file, self.digest)
        model = getattr(module, where.attribute, None)
        if not isinstance(model, Model):
            raise SettingInvalid("model.attribute", where.attribute, f"{where.file} has no keepwell.Model of that name", "keepwell.toml")
        for function in FUNCTIONS:
            if not callable(getattr(model, function)):
                raise FunctionMissing(where.file, function, [name for name in FUNCTIONS if callable(getattr(model, name))])
        return model

    def outline(self, where: ModelSection, cache: Path) -> Outline:
        """The model's name, key and task; kept beside the unpacked copy, so that only the first look at this code imports it.

        Importing a model takes seconds (its libraries), looking at its record should not. These facts must therefore follow
        from the code alone, not from the environment.
        """
        kept = cache / self.digest[:16] / f".outline-{digest_of(f'{where.file}:{where.attribute}'.encode())[:16]}.json"
        if kept.is_file():
            return Outline(**json.loads(kept.read_text("utf-8")))
        model = self.load(where, cache)
        outline = Outline(model.name, model.entity, model.time, model.task)
        partial = kept.with_suffix(f".{os.getpid()}.{threading.get_ident()}")
        partial.write_text(json.dumps(asdict(outline)), "utf-8")
        partial.rename(kept)
        return outline

    def _unpacked(self, cache: Path) -> Path:
        home = cache / self.digest[:16]
        if not home.is_dir():
            partial = cache / f"{self.digest[:16]}.{os.getpid()}.{threading.get_ident()}"
            with zipfile.ZipFile(io.BytesIO(self.archive)) as archive:
                archive.extractall(partial)
            try:
                partial.rename(home)  # another process may have been quicker; its copy is the same
            except OSError:
                import shutil

                shutil.rmtree(partial, ignore_errors=True)
        return home


def git_state(folder: Path) -> dict[str, Any]:
    """The commit the folder is at and whether it has changes of its own; nothing where there is no git."""
    try:
        ask = ["git", "-C", str(folder)]
        head = subprocess.run([*ask, "rev-parse", "HEAD"], capture_output=True, text=True, timeout=5, check=True)
        changed = subprocess.run([*ask, "status", "--porcelain", "--", "."], capture_output=True, text=True, timeout=5, check=True)
    except (OSError, subprocess.SubprocessError):
        return {}
    return {"git": {"commit": head.stdout.strip(), "changed": bool(changed.stdout.strip())}}


def _zip(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(files):
            archive.writestr(zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0)), files[name])
    return buffer.getvalue()


def _import(home: Path, file: str, digest: str) -> ModuleType:
    name = f"keepwell_project_{digest[:16]}_{file.removesuffix('.py').replace('/', '_')}"
    with _loading:
        if name in sys.modules:
            return sys.modules[name]
        spec = importlib.util.spec_from_file_location(name, home / file)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        before = set(sys.modules)
        sys.modules[name] = module
        sys.path.insert(0, str(home))
        try:
            spec.loader.exec_module(module)
        except TypeError as error:
            del sys.modules[name]
            if "Model.__init__()" in str(error):
                missing = [function for function in FUNCTIONS if f"'{function}'" in str(error)]
                raise FunctionMissing(file, missing[0] if missing else str(error), [f for f in FUNCTIONS if f not in missing]) from None
            raise FunctionBroken(file, f"could not be imported: {type(error).__name__}: {error}") from error
        except (Exception, SystemExit) as error:  # a script's sys.exit() must not end whoever looks at it
            del sys.modules[name]
            raise FunctionBroken(file, f"could not be imported: {type(error).__name__}: {error}{_line(error, home)}") from error
        finally:
            sys.path.remove(str(home))
            # Sibling modules are forgotten by name, so that another version's siblings do not meet them.
            for other in set(sys.modules) - before - {name}:
                origin: Any = getattr(sys.modules[other], "__file__", None)
                if origin and Path(origin).is_relative_to(home):
                    del sys.modules[other]
        return module


def _line(error: BaseException, home: Path) -> str:
    trace = error.__traceback__
    line = ""
    while trace:
        file = Path(trace.tb_frame.f_code.co_filename)
        if file.is_relative_to(home):
            line = f" ({file.relative_to(home)}, line {trace.tb_lineno})"
        trace = trace.tb_next
    if isinstance(error, SyntaxError) and error.lineno:
        line = f" (line {error.lineno})"
    return line
