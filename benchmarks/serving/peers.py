"""How each server is started for a model, and what its requests look like."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).parent
SERVERS = HERE / "servers"
SOURCE = HERE.parents[1] / "src"
Rows = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Peer:
    """A server: `command` of (folder, kind, port), its path, and a body of a row.

    `environment` names its virtual environment; None is Keepwell's own interpreter.
    """

    name: str
    environment: str | None
    command: Callable[[Path, str, int, str], list[str]]
    path: Callable[[str], str]
    body: Callable[[str, Mapping[str, Any]], bytes]
    kinds: tuple[str, ...] = ("lightgbm", "pipeline")
    more: Callable[[Path, str, int], dict[str, str]] = field(default=lambda folder, kind, port: {})
    note: str = ""


def _rows_body(kind: str, row: Mapping[str, Any]) -> bytes:
    return json.dumps({"rows": [row]}).encode()


def _matrix_body(kind: str, row: Mapping[str, Any]) -> bytes:
    tensor = {"name": "features", "shape": [1, len(row)], "datatype": "FP64", "data": list(row.values())}
    return json.dumps({"inputs": [tensor]}).encode()


def _mlserver_body(kind: str, row: Mapping[str, Any]) -> bytes:
    if kind == "lightgbm":
        return _matrix_body(kind, row)
    # Its frame codec knows no missing number in JSON: zero is sent, which costs the same.
    inputs = []
    for name, value in row.items():
        is_text = name.startswith("c")
        given = {"datatype": "BYTES", "parameters": {"content_type": "str"}} if is_text else {"datatype": "FP64"}
        inputs.append({"name": name, "shape": [1, 1], "data": [0.0 if value is None else value], **given})
    return json.dumps({"parameters": {"content_type": "pd"}, "inputs": inputs, "outputs": [{"name": "predict_proba"}]}).encode()


def _mlflow_body(kind: str, row: Mapping[str, Any]) -> bytes:
    return json.dumps({"dataframe_split": {"columns": list(row), "data": [list(row.values())]}}).encode()


def _keepwell(folder: Path, kind: str, port: int, python: str) -> list[str]:
    code = f"import sys, keepwell.cli; sys.argv = ['keepwell', '-C', {str(folder)!r}, 'serve']; keepwell.cli.main()"
    return [sys.executable, "-c", code]


def _keepwell_environment(folder: Path, kind: str, port: int) -> dict[str, str]:
    paths = [str(SOURCE), os.environ.get("PYTHONPATH", "")]
    return {"KEEPWELL_SERVE__PORT": str(port), "PYTHONPATH": os.pathsep.join(paths)}


def _script(name: str, *more: str) -> Callable[[Path, str, int, str], list[str]]:
    def command(folder: Path, kind: str, port: int, python: str) -> list[str]:
        return [python, str(SERVERS / name), str(folder), str(port), *(more or (kind,))]

    return command


def _mlserver(folder: Path, kind: str, port: int, python: str) -> list[str]:
    home = folder / "mlserver"
    home.mkdir(exist_ok=True)
    settings = {
        "host": "127.0.0.1",
        "http_port": port,
        "grpc_port": port + 1,
        "metrics_port": port + 2,
        "parallel_workers": 0,
        "debug": False,
    }
    (home / "settings.json").write_text(json.dumps(settings | {"logging_settings": None, "metrics_endpoint": None}))
    if kind == "lightgbm":
        runtime, uri = "mlserver_lightgbm.LightGBMModel", home / "model.bst"
        code = "import joblib, sys; joblib.load(sys.argv[1]).booster_.save_model(sys.argv[2])"
        subprocess.run([python, "-c", code, str(folder / "model.joblib"), str(uri)], check=True)
    else:
        runtime, uri = "mlserver_sklearn.SKLearnModel", folder / "model.joblib"
    (home / "model-settings.json").write_text(json.dumps({"name": "served", "implementation": runtime, "parameters": {"uri": str(uri)}}))
    return [str(Path(python).parent / "mlserver"), "start", str(home)]


def _mlflow(folder: Path, kind: str, port: int, python: str) -> list[str]:
    target = folder / "mlflow"
    if not target.exists():
        subprocess.run([python, str(SERVERS / "mlflow_model.py"), str(folder), kind, str(target)], check=True, capture_output=True)
    mlflow = str(Path(python).parent / "mlflow")
    return [mlflow, "models", "serve", "-m", str(target), "--env-manager", "local", "--port", str(port), "--workers", "1"]


def _bentoml(folder: Path, kind: str, port: int, python: str) -> list[str]:
    where = ["--port", str(port), "--host", "127.0.0.1", "--working-dir", str(SERVERS)]
    return [str(Path(python).parent / "bentoml"), "serve", "bentoml_service:Served", *where]


def _bentoml_environment(folder: Path, kind: str, port: int) -> dict[str, str]:
    return {"SERVED_FOLDER": str(folder), "SERVED_KIND": kind, "BENTOML_DO_NOT_TRACK": "1", "BENTOML_HOME": str(folder / "bentoml")}


KEEPWELL: dict[str, Any] = {"more": _keepwell_environment, "note": "durable log on"}

PEERS = (
    Peer("bare echo of the same server", None, _script("bare_server.py", "echo"), lambda kind: "/", _matrix_body, ("lightgbm",)),
    Peer("bare durable ceiling", None, _script("bare_server.py", "durable"), lambda kind: "/", _matrix_body, ("lightgbm",)),
    Peer(
        "Keepwell", None, _keepwell, lambda kind: f"/models/{kind}/predict", _rows_body, more=_keepwell_environment, note="durable log on"
    ),
    Peer(
        "Keepwell, workers = 1",
        None,
        _keepwell,
        lambda kind: f"/models/{kind}/predict",
        _rows_body,
        more=lambda folder, kind, port: {**_keepwell_environment(folder, kind, port), "KEEPWELL_SERVE__WORKERS": "1"},
        note="durable log on; one process answers, one keeps the model, one writes the log",
    ),
    Peer(
        "Keepwell, v2 body",
        None,
        _keepwell,
        lambda kind: f"/v2/models/{kind}/infer",
        _matrix_body,
        ("lightgbm",),
        more=_keepwell_environment,
        note="durable log on",
    ),
    Peer("FastAPI + uvicorn", "fastapi", _script("fastapi_server.py"), lambda kind: "/predict", _rows_body),
    Peer("MLServer", "mlserver", _mlserver, lambda kind: "/v2/models/served/infer", _mlserver_body, note="in process"),
    Peer("LitServe", "litserve", _script("litserve_server.py"), lambda kind: "/predict", _rows_body),
    Peer("BentoML", "bentoml", _bentoml, lambda kind: "/predict", _rows_body, more=_bentoml_environment),
    Peer("mlflow models serve", "mlflow", _mlflow, lambda kind: "/invocations", _mlflow_body),
)


def value_in(answer: bytes) -> float:
    """The one answer in what a server said, whatever its form."""
    found = json.loads(answer)
    if isinstance(found, list):
        return float(found[0])
    if "outputs" in found:
        data = found["outputs"][0]["data"]
        return float(np.ravel(data)[-1])
    if "predictions" in found:
        first = found["predictions"][0]
        return float(first["probability"] if isinstance(first, dict) else first)
    return float(found["probabilities"][0])
