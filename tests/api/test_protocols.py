"""Other tools' protocols, spoken by their real clients where they install, else by their exact bytes."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from listening import listening_at
from projects import BUILT_AT, MODEL, tiny_project

from keepwell import Project
from keepwell.api.invocations import _from_csv
from keepwell.errors import InputInvalid
from keepwell.serving import Signature

Served = tuple[Project, httpx.Client]
ROW = {"warmth": 12.5, "cloud": 0.9}
OTHER = {"warmth": -3.0, "cloud": 0.1}
INFER = "/v2/models/tiny/infer"


def right(project: Project, *rows: dict[str, Any]) -> list[float]:
    predictor = project.context.predictor(1)
    return pytest.approx([float(value) for value in predictor.answer(predictor.read(rows))], abs=1e-12)


def address(client: httpx.Client) -> str:
    return f"{client.base_url.host}:{client.base_url.port}"


# --- tritonclient: the Open Inference Protocol ---


@pytest.fixture
def triton(shared: Served) -> Iterator[Any]:
    http = pytest.importorskip("tritonclient.http")
    with http.InferenceServerClient(address(shared[1])) as client:
        yield client


def tensors(module: Any, *, binary: bool, kind: str = "FP64") -> list[Any]:
    dtype = {"FP64": np.float64, "FP32": np.float32}[kind]
    made = []
    for name in ("cloud", "warmth"):
        one = module.InferInput(name, [2, 1], kind)
        one.set_data_from_numpy(np.array([[ROW[name]], [OTHER[name]]], dtype), binary_data=binary)
        made.append(one)
    return made


def test_tritonclient_finds_the_server_and_the_model(triton: Any) -> None:
    assert triton.is_server_live() and triton.is_server_ready()
    assert triton.is_model_ready("tiny") and triton.is_model_ready("tiny", "1")
    assert not triton.is_model_ready("tiny", "2") and not triton.is_model_ready("rain")
    assert "binary_tensor_data" in triton.get_server_metadata()["extensions"]
    metadata = triton.get_model_metadata("tiny")
    assert metadata == triton.get_model_metadata("tiny", "1")
    assert metadata["versions"] == ["1"]
    assert metadata["inputs"] == [
        {"name": "warmth", "datatype": "FP64", "shape": [-1, 1]},
        {"name": "cloud", "datatype": "FP64", "shape": [-1, 1]},
    ]
    assert [one["name"] for one in metadata["outputs"]] == ["probability", "prediction_id"]
    runtime = metadata["parameters"]["runtime"]
    assert runtime["name"] == "tables and product" and runtime["largest_difference"] <= runtime["bound"] == 1e-12
    assert triton.get_model_repository_index() == [{"name": "tiny", "version": "1", "state": "READY", "reason": ""}]


@pytest.mark.parametrize("binary", [True, False])
def test_tritonclient_infers_with_its_defaults_and_with_json(shared: Served, triton: Any, binary: bool) -> None:
    import tritonclient.http as http

    found = triton.infer("tiny", tensors(http, binary=binary), request_id="mine")
    assert found.as_numpy("probability").tolist() == right(shared[0], ROW, OTHER)
    assert (found.get_response()["id"], found.get_response()["model_version"]) == ("mine", "1")
    ids = [one.decode() if isinstance(one, bytes) else one for one in found.as_numpy("prediction_id")]
    assert shared[1].get(f"/models/tiny/predictions/{ids[1]}").json()["inputs"] == OTHER


def test_tritonclient_names_versions_outputs_and_packing(shared: Served, triton: Any) -> None:
    import tritonclient.http as http

    wanted = [http.InferRequestedOutput("probability", binary_data=False)]
    given = {"outputs": wanted, "request_compression_algorithm": "gzip", "response_compression_algorithm": "gzip"}
    found = triton.infer("tiny", tensors(http, binary=True, kind="FP32"), model_version="1", **given)
    assert found.as_numpy("probability").tolist() == pytest.approx(right(shared[0], ROW, OTHER).expected, abs=1e-6)
    assert found.as_numpy("prediction_id") is None


def test_tritonclient_sends_all_features_as_one_tensor(shared: Served, triton: Any) -> None:
    import tritonclient.http as http

    one = http.InferInput("input-0", [2, 2], "FP64")
    one.set_data_from_numpy(np.array([[12.5, 0.9], [-3.0, 0.1]]))
    assert triton.infer("tiny", [one]).as_numpy("probability").tolist() == right(shared[0], ROW, OTHER)


def test_tritonclient_s_asyncio_client_works(shared: Served) -> None:
    aio = pytest.importorskip("tritonclient.http.aio")

    async def ask() -> list[Any]:
        async with aio.InferenceServerClient(address(shared[1])) as client:
            assert await client.is_server_ready()
            return [(await client.infer("tiny", tensors(aio, binary=binary))).as_numpy("probability").tolist() for binary in (True, False)]

    assert asyncio.run(ask()) == [right(shared[0], ROW, OTHER)] * 2


def test_tritonclient_gets_refusals_in_words(triton: Any) -> None:
    import tritonclient.http as http
    from tritonclient.utils import InferenceServerException

    cases = [
        ("tiny", {"outputs": [http.InferRequestedOutput("weather")]}, "no output 'weather'"),
        ("rain", {}, "Model 'rain' is not known here"),
        ("tiny", {"model_version": "7"}, "7"),
    ]
    for name, given, said in cases:
        with pytest.raises(InferenceServerException, match=said):
            triton.infer(name, tensors(http, binary=True), **given)


# --- the protocol's bytes ---


def tensor(name: str = "input", shape: Any = (1, 2), datatype: str = "FP64", data: Any = (12.5, 0.9)) -> dict[str, Any]:
    return {"name": name, "shape": list(shape), "datatype": datatype, "data": list(data) if isinstance(data, tuple) else data}


WRONG: dict[str, tuple[Any, str]] = {
    "a size of -1": ({"inputs": [tensor(shape=(-1, 2))]}, r"shape \[-1, 2\]"),
    "too few values": ({"inputs": [tensor(shape=(2, 2))]}, "2 values where shape .2, 2. has 4"),
    "another number of features": ({"inputs": [tensor(shape=(1, 3), data=(1, 2, 3))]}, "3 columns where the model has 2 features"),
    "a text for a number": ({"inputs": [tensor(data=("warm", 1))]}, "holds 'warm' where FP64 is expected"),
    "an unknown type": ({"inputs": [tensor(datatype="FP63")]}, "datatype 'FP63'"),
    "an unknown input": ({"inputs": [tensor("wind", (1,), data=(1,)), tensor("cloud", (1,), data=(1,))]}, "no input wind"),
    "a missing input": ({"inputs": [tensor("cloud", (1,), data=(1,))]}, "no column warmth"),
    "other numbers of rows": ({"inputs": [tensor("cloud", (1,), data=(1,)), tensor("warmth", (2,), data=(1, 2))]}, "1 and 2 rows"),
    "the same input twice": ({"inputs": [tensor("cloud", (1,), data=(1,))] * 2}, "same name"),
    "an unknown output": ({"inputs": [tensor()], "outputs": [{"name": "x"}]}, "no output 'x'"),
    "no inputs": ({"inputs": []}, "no row to answer"),
    "no rows": ({"inputs": [tensor(shape=(0, 2), data=())]}, "no row"),
    "no data": ({"inputs": [tensor(data=None)]}, "has no data"),
    "too many rows": ({"inputs": [tensor(shape=(1001, 2), data=[1.0] * 2002)]}, "1001 rows are more than 1000"),
    "no JSON": ("warmth=1", "cannot be read as JSON"),
    "not the protocol": ({"rows": [ROW]}, "not one of the protocol"),
    "nested too deeply": ('{"inputs":' + "[" * 100_000, "."),
    "a missing value that the model does not take": ({"inputs": [tensor(data=(None, 0.5))]}, "cannot answer without warmth"),
}


@pytest.mark.parametrize(("body", "said"), WRONG.values(), ids=WRONG.keys())
def test_a_wrong_inference_request_is_a_400_with_an_error(shared: Served, body: Any, said: str) -> None:
    content = body if isinstance(body, str) else json.dumps(body)
    answer = shared[1].post(INFER, content=content, headers={"content-type": "application/json"})
    assert answer.status_code == 400, answer.text
    assert list(answer.json()) == ["error"]
    assert re.search(said, answer.json()["error"]), answer.json()


@pytest.mark.parametrize("data", [[12.5, 0.9], [[12.5, 0.9]], [[12.5], 0.9]])
def test_data_may_be_flat_or_nested_and_an_id_is_made(shared: Served, data: Any) -> None:
    answer = shared[1].post(INFER, json={"inputs": [tensor(data=data)]}).json()
    assert answer["outputs"][0]["data"] == right(shared[0], ROW)
    assert len(answer["id"]) == 32 and answer["outputs"][0]["shape"] == [1]


def test_bytes_that_do_not_fit_are_refused(shared: Served) -> None:
    head = json.dumps({"inputs": [{"name": "input", "shape": [1, 2], "datatype": "FP64", "parameters": {"binary_data_size": 16}}]}).encode()
    values = np.array([12.5, 0.9]).tobytes()
    cases = {values: 200, values[:-1]: 400, values + b"x": 400}
    for tail, status in cases.items():
        headers = {"Inference-Header-Content-Length": str(len(head)), "content-type": "application/octet-stream"}
        assert shared[1].post(INFER, content=head + tail, headers=headers).status_code == status
    for wrong in ("-1", "x", "999999"):
        answer = shared[1].post(INFER, content=head + values, headers={"Inference-Header-Content-Length": wrong})
        assert answer.status_code == 400 and "Inference-Header-Content-Length" in answer.json()["error"]


def test_other_methods_types_and_paths_are_refused_in_the_protocol_s_form(shared: Served) -> None:
    client = shared[1]
    refused = [client.get(INFER), client.post(INFER, content=b"x", headers={"content-type": "text/plain"}), client.get("/v2/nothing")]
    refused += [client.get("/v2/models/rain"), client.get("/v2/models/tiny/versions/9"), client.post("/v2/repository/models/tiny/load")]
    refused += [client.post("/v2")]
    assert [answer.status_code for answer in refused] == [405, 415, 404, 404, 404, 404, 405]
    assert {tuple(answer.json()) for answer in refused} == {("error",)}
    large = client.post(INFER, content=b" " * (2 << 20))
    assert (large.status_code, list(large.json())) == (413, ["error"])


def test_a_server_without_a_champion_is_live_and_not_ready(tmp_path: Path) -> None:
    with listening_at(tiny_project(tmp_path / "new")) as (_, client):
        assert client.get("/v2/health/live").status_code == 200
        for path in ("/v2/health/ready", "/v2/models/tiny/ready", "/v2/models/tiny"):
            answer = client.get(path)
            assert (answer.status_code, list(answer.json())) == (503, ["error"])
        assert client.post(INFER, json={"inputs": [tensor()]}).headers["retry-after"] == "1"
        (listed,) = client.post("/v2/repository/index").json()
        assert listed["state"] == "UNAVAILABLE"
        assert (client.get("/ping").status_code, client.post("/invocations", json={"instances": [[1, 2]]}).status_code) == (503, 503)


# --- MLflow ---

SPLIT = {"columns": ["cloud", "warmth", "extra"], "data": [[0.9, 12.5, "x"], [0.1, -3.0, "y"]]}
FORMS: dict[str, tuple[str, Any]] = {
    "dataframe_split": ("application/json", {"dataframe_split": SPLIT}),
    "dataframe_split with an index": ("application/json; charset=utf-8", {"dataframe_split": {**SPLIT, "index": [7, 8]}}),
    "dataframe_records": ("application/json", {"dataframe_records": [{**ROW, "extra": 1}, OTHER]}),
    "instances of objects": ("application/json", {"instances": [ROW, OTHER]}),
    "instances of lists": ("application/json", {"instances": [[12.5, 0.9], [-3, 0.1]]}),
    "inputs by column": ("application/json", {"inputs": {"cloud": [0.9, 0.1], "warmth": [[12.5], [-3.0]]}}),
    "inputs as a matrix": ("application/json", {"inputs": [[12.5, 0.9], [-3, 0.1]]}),
    "csv": ("text/csv; charset=utf-8", "extra,cloud,warmth\nx,0.9,12.5\ny,0.1,-3\n"),
}


@pytest.mark.parametrize(("kind", "body"), FORMS.values(), ids=FORMS.keys())
@pytest.mark.parametrize("path", ["/invocations", "/endpoints/tiny/invocations"])
def test_every_form_of_mlflow_is_answered(shared: Served, path: str, kind: str, body: Any) -> None:
    project, client = shared
    content = body if isinstance(body, str) else json.dumps(body)
    answer = client.post(path, content=content, headers={"content-type": kind})
    assert answer.status_code == 200, answer.text
    assert answer.json()["predictions"] == right(project, ROW, OTHER)
    assert answer.json()["version"] == 1
    assert client.get(f"/models/tiny/predictions/{answer.json()['prediction_ids'][0]}").json()["inputs"] == ROW


JSON = "application/json"
REFUSED: dict[str, tuple[str, str, int, str]] = {
    "another type": ("text/plain", "1", 415, "content type is 'text/plain'"),
    "no form": (JSON, "{}", 400, "none of the forms"),
    "two forms": (JSON, '{"instances": [], "inputs": []}', 400, "instances, inputs of the forms"),
    "no object": (JSON, "[1]", 400, "no JSON object"),
    "no JSON": (JSON, "x", 400, "cannot be read as JSON"),
    "a missing column": (JSON, '{"dataframe_records": [{"cloud": 1}]}', 400, "no column warmth"),
    "a text for a number": (JSON, '{"dataframe_records": [{"cloud": "much", "warmth": 1}]}', 400, "'cloud' in row 0 is 'much'"),
    "a row too short": (JSON, '{"dataframe_split": {"columns": ["cloud", "warmth"], "data": [[1]]}}', 400, "Row 0 of 'data'"),
    "a missing value": (JSON, '{"dataframe_records": [{"cloud": NaN, "warmth": 1}]}', 400, "cannot answer without cloud"),
    "a list of another width": (JSON, '{"instances": [[1, 2, 3]]}', 400, "list of 2 values"),
    "csv without a number": ("text/csv", "cloud,warmth\nx,1\n", 400, "'cloud' in line 2 is 'x'"),
    "csv of another width": ("text/csv", "cloud,warmth\n1\n", 400, "Line 2 has 1 values"),
    "empty csv": ("text/csv", "", 400, "no row"),
    "not UTF-8": ("text/csv", "\xff", 400, "."),
}


@pytest.mark.parametrize(("kind", "body", "status", "said"), REFUSED.values(), ids=REFUSED.keys())
def test_what_mlflow_cannot_mean_is_refused_in_its_form(shared: Served, kind: str, body: str, status: int, said: str) -> None:
    answer = shared[1].post("/invocations", content=body.encode("latin-1"), headers={"content-type": kind})
    assert answer.status_code == status, answer.text
    assert set(answer.json()) == {"error_code", "message"}
    assert re.search(said, answer.json()["message"]), answer.text


def test_mlflow_s_small_routes(shared: Served) -> None:
    client = shared[1]
    assert client.get("/ping").status_code == 200
    assert client.get("/version").text.count(".") >= 1 or client.get("/version").text == "0"
    missing = client.post("/endpoints/rain/invocations", json={"instances": [ROW]})
    assert (missing.status_code, missing.json()["error_code"]) == (404, "RESOURCE_DOES_NOT_EXIST")
    assert client.get("/invocations").status_code == 405


# --- their own clients, where they are installed ---


def python_with(package: str) -> str:
    """A Python that has the package: this one, or the one that KEEPWELL_TEST_<PACKAGE> names."""
    if importlib.util.find_spec(package):
        return sys.executable
    variable = f"KEEPWELL_TEST_{package.upper()}"
    return os.environ.get(variable) or pytest.skip(f"{package} is not installed, and {variable} names no Python that has it")


def test_mlflow_s_deployments_client_predicts(shared: Served) -> None:
    code = f"""
from mlflow.deployments import get_deploy_client
client = get_deploy_client("http://{address(shared[1])}")
for body in ({{"dataframe_records": [{ROW}]}}, {{"inputs": {{"warmth": [12.5], "cloud": [0.9]}}}}):
    print(client.predict(endpoint="tiny", inputs=body)["predictions"][0])
"""
    done = subprocess.run([python_with("mlflow"), "-W", "ignore", "-c", code], capture_output=True, text=True, check=False)
    assert [[float(line)] for line in done.stdout.split()] == [right(shared[0], ROW)] * 2, done.stderr


def test_mlserver_s_infer_command_answers_a_file(shared: Served, tmp_path: Path) -> None:
    asked, answered = tmp_path / "asked.txt", tmp_path / "answered.txt"
    bodies = [{"inputs": [tensor(data=tuple(row.values()))]} for row in (ROW, OTHER)]
    asked.write_text("".join(json.dumps(body) + "\n" for body in bodies))
    python = python_with("mlserver")
    command = ["infer", "-u", address(shared[1]), "-m", "tiny", "-i", str(asked), "-o", str(answered)]
    done = subprocess.run([str(Path(python).parent / "mlserver"), *command], capture_output=True, text=True, check=False)
    told = [json.loads(line) for line in answered.read_text().splitlines()] if answered.exists() else []
    found = {one["parameters"]["batch_index"]: one["outputs"][0]["data"] for one in told}
    assert found == {0: right(shared[0], ROW), 1: right(shared[0], OTHER)}, done.stderr


# --- a model with other kinds of features ---

SKY = 'sky=pl.when(pl.col("cloud") > 0.5).then(pl.lit("grey")).otherwise(pl.lit("blue")), cold=pl.col("warmth") < 5)'
IMPORTS = """
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder
from sklearn.linear_model"""
TRAIN = """words = OneHotEncoder(handle_unknown="ignore")
    return make_pipeline(ColumnTransformer([("w", words, ["sky"])], remainder="passthrough"), LogisticRegression()).fit(X, y)"""
MIXED = MODEL.replace('"warmth", "cloud")', f'"warmth", "cloud", {SKY}').replace("\nfrom sklearn.linear_model", IMPORTS)
MIXED = MIXED.replace("return LogisticRegression(random_state=seed).fit(X, y)", TRAIN)


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tiny_project(tmp_path_factory.mktemp("mixed") / "tiny")
    (folder / "model.py").write_text(MIXED)
    with Project(folder) as project:
        assert project.run(BUILT_AT).status == "done" and project.aliases()["champion"] == 1
    with listening_at(folder) as both:
        yield both


GREY = {"warmth": 2.0, "cloud": 0.9, "sky": "grey", "cold": True}


def test_texts_and_truths_go_through_every_protocol(mixed: Served) -> None:
    http = pytest.importorskip("tritonclient.http")
    project, client = mixed
    expected = right(project, GREY)
    assert [client.post("/models/tiny/predict", json={"rows": [GREY]}).json()["predictions"][0]["probability"]] == expected
    kinds = {"warmth": ("FP64", np.float64), "cloud": ("FP64", np.float64), "sky": ("BYTES", np.object_), "cold": ("BOOL", np.bool_)}
    with http.InferenceServerClient(address(client)) as triton:
        told = {one["name"]: one["datatype"] for one in triton.get_model_metadata("tiny")["inputs"]}
        assert told == {name: kinds[name][0] for name in GREY}
        for binary in (True, False):
            inputs = []
            for name, (datatype, dtype) in kinds.items():
                inputs.append(http.InferInput(name, [1], datatype))
                inputs[-1].set_data_from_numpy(np.array([GREY[name]], dtype), binary_data=binary)
            assert triton.infer("tiny", inputs).as_numpy("probability").tolist() == expected
    assert client.post("/invocations", json={"dataframe_records": [GREY]}).json()["predictions"] == expected
    table = "warmth,cloud,sky,cold\n2,0.9,grey,true\n"
    assert client.post("/invocations", content=table, headers={"content-type": "text/csv"}).json()["predictions"] == expected


def test_half_a_character_fails_its_caller_and_nobody_who_asks_beside_it(mixed: Served) -> None:
    project, client = mixed
    half = json.dumps({"dataframe_records": [{**GREY, "sky": "\ud800"}]})
    with ThreadPoolExecutor(4) as pool:
        bad = [pool.submit(client.post, "/invocations", content=half, headers={"content-type": JSON}) for _ in range(8)]
        good = [pool.submit(client.post, "/invocations", json={"dataframe_records": [GREY]}) for _ in range(8)]
    assert {one.result().status_code for one in bad} == {400}
    assert [one.result().json()["predictions"] for one in good] == [right(project, GREY)] * 8


def test_large_answers_are_packed_for_those_who_read_that(shared: Served) -> None:
    rows = {"instances": [[1, 0.5]] * 500}
    plain = shared[1].post("/invocations", json=rows, headers={"accept-encoding": "identity"})
    packed = shared[1].post("/invocations", json=rows, headers={"accept-encoding": "gzip"})
    assert "content-encoding" not in plain.headers
    refused = shared[1].post("/invocations", json=rows, headers={"accept-encoding": "gzip;q=0, identity"})
    assert "content-encoding" not in refused.headers and refused.json()["predictions"] == plain.json()["predictions"]
    assert packed.headers["content-encoding"] == "gzip" and int(packed.headers["content-length"]) < len(plain.content) / 2
    assert packed.json()["predictions"] == plain.json()["predictions"]


@pytest.mark.parametrize("digits", [25, 5000])
def test_a_whole_number_in_a_csv_that_no_column_holds_is_refused(digits: int) -> None:
    signature = Signature({"wet": "Int64"})
    columns, n = _from_csv(signature, b"wet\n" + b"9" * digits)
    with pytest.raises(InputInvalid, match="number"):
        signature.checked(columns, n)
