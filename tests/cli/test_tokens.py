"""Tokens by the command line: shown once, listed without a secret, revoked."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from keepwell import Project
from keepwell.errors import RoleRefused

PEOPLE = '\n[people.Mira]\nrole = "viewer"\n'


@pytest.fixture
def peopled(tiny: Path) -> Path:
    """The project with a person who may only look."""
    with (tiny / "keepwell.toml").open("a") as file:
        file.write(PEOPLE)
    return tiny


def test_a_token_is_made_listed_and_revoked(on, document):
    assert "No token is good" in on("token", "list").stdout
    made = document("token", "create", "shop", "--limit", "600", "--expires-days", "90")
    assert made["secret"].startswith("kw_") and (made["role"], made["models"], made["per_minute"]) == ("client", ["tiny"], 600)
    shown = on("token", "create", "grafana", "--role", "viewer", "--every-model").stdout
    assert "viewer of all models. It is shown this once" in shown and "\nkw_" in shown
    listed = on("token", "list").stdout
    assert made["id"] in listed and "grafana" in listed and "kw_" not in listed
    assert "kw_" not in json.dumps(document("token", "list", "--all"))
    assert f"Token {made['id']} of shop is revoked" in on("token", "revoke", made["id"]).stdout
    assert [token["owner"] for token in document("token", "list")["tokens"]] == ["grafana"]
    assert [token["state"] for token in document("token", "list", "--all")["tokens"]] == ["revoked", "good"]
    kinds = [event["kind"] for event in document("history")["events"]]
    assert kinds[-3:] == ["token_created", "token_created", "token_revoked"]


def test_what_makes_no_sense_is_refused(peopled, on):
    assert "Mira is viewer in [people]" in on("token", "create", "Mira", "--role", "admin").stderr
    assert "There is no token 'lost'" in on("token", "revoke", "lost").stderr
    assert on("token", "create", "shop", "--model", "rain", "--every-model").exit_code == 2


def test_a_person_whose_role_does_not_allow_it_is_refused_in_the_words_of_every_door(peopled):
    with Project(peopled) as project:
        for act in (
            lambda: project.act_on(1, "ack", by="Mira"),
            lambda: project.promote(1, reason="", by="Mira"),
            lambda: project.rollback(reason="", by="Mira"),
            lambda: project.pause(by="Mira"),
            lambda: project.approve(1, by="Mira"),
            lambda: project.drop(["all"], by="Mira"),
        ):
            with pytest.raises(RoleRefused, match=r"Mira may not .* needs the role .*, and Mira has viewer"):
                act()
        assert project.pause(reason="harvest", by="Jo").startswith("tiny is paused"), "who is not in [people] is not known to be less"
