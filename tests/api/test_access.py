"""Who may do what, through every protocol: a wrong token, a viewer's promotion and a token of another model are refused, are on
record, and are told nothing that is not theirs to know."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import stores
from listening import listening_at
from pages import BROWSER, fields_of, send, words_of

from keepwell import Project
from keepwell.access import ACTS, ROLES
from keepwell.api.acts import ROUTES, act_of

ROW = {"warmth": 9.5, "cloud": 0.4}
TENSORS = {"inputs": [{"name": "features", "shape": [1, 2], "datatype": "FP64", "data": [9.5, 0.4]}]}
LABELS = {"labels": [{"entity": "north", "time": "2026-01-10", "label": 1.0}]}
PEOPLE = '\n[people.Vic]\nrole = "viewer"\n[people.Oda]\nrole = "operator"\n[people.Max]\nrole = "maintainer"\n'
ANSWERS = (  # (protocol, path, body) of each way to be answered; {} is the model
    ("json", "/models/{}/predict", {"rows": [ROW]}),
    ("v2", "/v2/models/{}/infer", TENSORS),
    ("v2", "/v2/models/{}/versions/1/infer", TENSORS),
    ("mlflow", "/invocations", {"dataframe_records": [ROW]}),
    ("mlflow", "/endpoints/{}/invocations", {"dataframe_records": [ROW]}),
)
FORMS = {"json": {"error", "headline", "message", "facts"}, "v2": {"error"}, "mlflow": {"error_code", "message"}}

Served = tuple[Project, httpx.Client, dict[str, str]]
pytestmark = pytest.mark.sqlite("the tokens' table is asked on every store in tests/access")


@pytest.fixture(scope="module")
def guarded(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A served project, and secrets of tokens by name."""
    folder = stores.copy_project(built, tmp_path_factory.mktemp("guarded") / "tiny")
    with (folder / "keepwell.toml").open("a") as file:
        file.write(PEOPLE)
    past = datetime.now(UTC) - timedelta(days=2)
    with Project(folder) as project:
        made = {name: project.create_token(name) for name in ("Vic", "Oda", "Max", "shop")}
        made["root"] = project.create_token("root", role="admin", models=None)
        made["elsewhere"] = project.create_token("elsewhere", role="admin", models=("rain",))
        made["expired"] = project.create_token("old", role="admin", now=past, expires_at=past + timedelta(days=1))
        made["revoked"] = project.create_token("gone", role="admin")
        made["slow"] = project.create_token("slow", per_minute=2)
        project.revoke_token(made["revoked"][1].id)
    secrets = {name: secret for name, (secret, _) in made.items()} | {"guessed": "kw_" + "A" * 43}
    with listening_at(folder) as (project, client):
        yield project, client, secrets


def bearer(secrets: dict[str, str], name: str) -> dict[str, str]:
    return {"authorization": f"Bearer {secrets[name]}"}


def refusals(project: Project) -> list[dict[str, Any]]:
    return [{**event.facts, "by": event.by} for event in project.history(kinds=("access_refused",), limit=1000)]


@pytest.mark.parametrize(("form", "path", "body"), ANSWERS, ids=[path for _, path, _ in ANSWERS])
def test_answers_are_for_who_may_ask_in_every_protocol(guarded: Served, form: str, path: str, body: dict) -> None:
    _, client, secrets = guarded
    path = path.format("tiny")
    for name in ("shop", "Oda", "Max", "root"):
        assert client.post(path, json=body, headers=bearer(secrets, name)).status_code == 200, name
    said = {}
    for name, status in (("guessed", 401), ("expired", 401), ("revoked", 401), ("Vic", 403), ("elsewhere", 404), (None, 401)):
        answer = client.post(path, json=body, headers=bearer(secrets, name) if name else {})
        assert (answer.status_code, set(answer.json())) == (status, FORMS[form]), (name, answer.text)
        said[name] = answer.text
        assert "kw_" not in answer.text
    assert said["guessed"] == said["expired"] == said["revoked"], "not told whether it was ever good"
    assert "operator" in said["Vic"], "the role that is needed is named"


@pytest.mark.parametrize(
    "path", [*(path for _, path, _ in ANSWERS), "/models/{}", "/models/{}/history", "/v2/models/{}", "/models/{}/labels"]
)
def test_a_token_of_another_model_sees_no_difference_to_a_model_that_is_not_there(guarded: Served, path: str) -> None:
    _, client, secrets = guarded
    said = []
    for model in ("tiny", "nope"):
        for method in ("GET", "POST"):
            answer = client.request(method, path.format(model), json=LABELS, headers=bearer(secrets, "elsewhere"))
            assert answer.status_code == 404
            said.append(answer.text.replace(model, "MODEL"))
    assert said[:2] == said[2:]
    assert "tiny" not in said[2] + said[3]


def test_what_names_no_model_tells_a_token_of_another_model_nothing(guarded: Served) -> None:
    _, client, secrets = guarded
    for path in ("/", "/metrics", "/events", "/openapi.json", "/v2", "/version", "/record", "/system", "/runs"):
        answer = client.get(path, headers=bearer(secrets, "elsewhere"))
        assert answer.status_code == 404 and "tiny" not in answer.text, path


def test_a_viewers_promotion_is_refused_at_every_door_and_on_record(guarded: Served) -> None:
    project, client, secrets = guarded
    before = project.aliases()
    for path in ("/models/tiny/versions/1/approve", "/models/tiny/versions/1/reject", "/models/tiny/promote"):
        answer = client.post(path, json={}, headers=bearer(secrets, "Vic"))
        assert answer.status_code == 403 and "needs the role maintainer, and Vic has viewer" in answer.json()["message"], path
    send(client, "/sign-in", {"token": secrets["Vic"]})
    page = client.get("/models/tiny", headers=BROWSER).text
    csrf = fields_of(page)["csrf"]
    for answer in (
        client.get("/models/tiny/promote?version=1", headers=BROWSER),
        send(client, "/models/tiny/promote", {"csrf": csrf, "version": "1", "champion": "1"}),
    ):
        assert answer.status_code == 403 and "needs the role maintainer" in words_of(answer.text)
    assert "Vic , viewer" in words_of(page) and "Check up now needs operator" in words_of(page), "shut, with the role that opens it"
    assert send(client, "/sign-out", {"csrf": csrf}).status_code == 303
    assert project.aliases() == before
    told = [one for one in refusals(project) if one["by"] == "Vic" and one["act"] in ("promote", "approve")]
    assert {(one["act"], one["refused"], one["role"]) for one in told} == {("promote", "role", "viewer"), ("approve", "role", "viewer")}
    assert len(told) == 2, "at most one line a minute for one token and act, however often it is tried"


def test_what_was_refused_is_on_record_and_a_guesser_cannot_fill_it(guarded: Served) -> None:
    project, client, secrets = guarded
    for place in range(30):
        client.post("/models/tiny/predict", json={"rows": [ROW]}, headers={"authorization": f"Bearer kw_{place}"})
        client.post("/models/tiny/predict", json={"rows": [ROW]}, headers=bearer(secrets, "expired"))
        client.post("/v2/models/tiny/infer", json=TENSORS, headers=bearer(secrets, "elsewhere"))
    told = [one for one in refusals(project) if one["act"] == "ask"]
    owners = [(one["by"], one["refused"]) for one in told]
    assert {("unknown", "token"), ("old", "token"), ("elsewhere", "model")} <= set(owners)
    assert all(owners.count(one) <= 2 for one in owners), "a second one only when the minute has turned"
    assert not [one for one in told if "kw_" in str(one)]
    assert told[0]["from"] == "127.0.0.1"


def test_a_client_may_ask_and_label_and_not_look(guarded: Served) -> None:
    _, client, secrets = guarded
    mine = bearer(secrets, "shop")
    assert client.get("/v2/models/tiny", headers=mine).status_code == client.get("/openapi.json", headers=mine).status_code == 200
    assert client.post("/v2/repository/index", headers=mine).status_code == 200
    assert client.post("/models/tiny/labels", json=LABELS, headers=mine).status_code == 200
    for path in ("/models/tiny", "/models/tiny/history", "/events", "/metrics", "/record", "/models/tiny/predictions/x"):
        assert client.get(path, headers=mine).status_code == 403, path
    answer = send(client, "/sign-in", {"token": secrets["shop"]})
    assert answer.status_code == 403 and "set-cookie" not in answer.headers and "does not look at pages" in words_of(answer.text)


def test_a_token_of_another_model_does_not_sign_in(guarded: Served) -> None:
    _, client, secrets = guarded
    for name in ("elsewhere", "revoked", "guessed"):
        answer = send(client, "/sign-in", {"token": secrets[name]})
        assert answer.status_code == 401 and "That is not a token of this server" in answer.text and "set-cookie" not in answer.headers


def test_acts_are_recorded_by_the_owner_whatever_the_body_says(guarded: Served) -> None:
    project, client, secrets = guarded
    project.look(datetime(2026, 1, 17, 7, tzinfo=UTC))
    number = project.incidents()[0].number
    where = f"/models/tiny/incidents/{number}"
    assert client.post(f"{where}/ack", json={"by": "Max"}, headers=bearer(secrets, "Vic")).status_code == 403
    said = client.post(f"{where}/ack", json={"by": "Max"}, headers=bearer(secrets, "Oda")).json()
    assert said["activity"][-1]["by"] == "Oda"
    assert client.post(f"{where}/comment", json={"text": "seen"}, headers=bearer(secrets, "root")).json()["activity"][-1]["by"] == "root"


def test_a_limit_answers_429_in_the_form_of_the_protocol_and_says_when(guarded: Served) -> None:
    _, client, secrets = guarded
    mine = bearer(secrets, "slow")
    assert [client.post("/models/tiny/predict", json={"rows": [ROW]}, headers=mine).status_code for _ in range(2)] == [200, 200]
    for form, path, body in ANSWERS:
        answer = client.post(path.format("tiny"), json=body, headers=mine)
        assert (answer.status_code, set(answer.json())) == (429, FORMS[form])
        assert 1 <= int(answer.headers["retry-after"]) <= 30
    assert answer.json()["error_code"] == "REQUEST_LIMIT_EXCEEDED"
    assert client.post("/models/tiny/predict", json={"rows": [ROW]}, headers=bearer(secrets, "shop")).status_code == 200, "others go on"


def test_a_client_of_another_tool_sends_its_token_in_a_header(guarded: Served) -> None:
    triton = pytest.importorskip("tritonclient.http")
    _, client, secrets = guarded
    given = triton.InferInput("features", [1, 2], "FP64")
    given.set_data_from_numpy(np.array([[9.5, 0.4]]))
    asking = triton.InferenceServerClient(f"{client.base_url.host}:{client.base_url.port}")
    answer = asking.infer("tiny", [given], headers=bearer(secrets, "shop"))
    assert answer.get_response()["model_version"] == "1"
    for name, said in (("guessed", "no longer good"), ("Vic", "needs the role operator"), ("elsewhere", "'tiny' is not known here")):
        with pytest.raises(triton.InferenceServerException, match=said):
            asking.infer("tiny", [given], headers=bearer(secrets, name))
    asking.close()


def test_a_revoked_token_and_its_session_end_within_seconds(guarded: Served) -> None:
    project, client, _ = guarded
    secret, token = project.create_token("Oda")
    mine = {"authorization": f"Bearer {secret}"}
    until(lambda: client.get("/models/tiny", headers=mine).status_code == 200)
    assert send(client, "/sign-in", {"token": secret}).status_code == 303
    assert client.get("/models/tiny").status_code == 200
    project.revoke_token(token.id)
    until(lambda: client.get("/models/tiny", headers=mine).status_code == 401)
    assert client.get("/models/tiny").status_code == 401, "the session as well"
    assert client.get("/models/tiny", headers=BROWSER).status_code == 303
    client.cookies.clear()
    told = project.history(kinds=("token_created", "token_revoked"), limit=2)
    assert [event.kind for event in told] == ["token_created", "token_revoked"]
    assert secret not in str(project.history(limit=1000))


def until(holds: Any, seconds: float = 5.0) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "not within the seconds that are promised"
        time.sleep(0.1)


def test_every_route_that_acts_is_named(guarded: Served) -> None:
    """What is not named is for an admin only; so nothing is open by being forgotten, and this says when something was."""
    from fastapi.routing import APIRoute

    from keepwell.api import create_app
    from keepwell.ui.pages import ACTS as FORMS_OF_PAGES

    app = create_app(guarded[0]).described
    routes = [(method, route.path) for route in app.routes if isinstance(route, APIRoute) for method in route.methods]
    routes += [("POST", page.path) for page in FORMS_OF_PAGES]
    assert [page.path for page in FORMS_OF_PAGES if page.show and act_of("GET", page.path) == "look"] == []
    assert [one for one in routes if act_of(*one) == "manage"] == []
    assert {act for _, _, act in ROUTES} <= set(ACTS)
    assert {act.needs for act in ACTS.values()} == set(ROLES)
