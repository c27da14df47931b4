"""Who is told, as the settings say it: secrets from the environment, shown nowhere; what Apprise does not know is refused."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

import keepwell
from keepwell import Project
from keepwell.addresses import KINDS
from keepwell.cli import app
from keepwell.errors import SettingInvalid, SettingUnknown
from keepwell.keeping.contents import without_secrets
from keepwell.notifying import channels_of
from keepwell.notifying.records import TEST
from keepwell.origins import explain
from keepwell.settings import look, read

TOLD = """
[owner]
owner = "Mira"
[people.mira]
tell = ["slack://T0K3N12345/A12345678/B12345678901234567890123", "json://u:s3cret@localhost:8000/${PATH_OF_MIRA}", "json://other/s3cret"]
role = "admin"
[people.jo]
tell = [
  "mailto://jo:s3cret@example.org",
]
[[webhooks]]
url = "https://hooks.example.org:8443/s3cret?key=s3cret"
secret = "whsec_czNjcmV0czNjcmV0"
[[webhooks]]
url = "http://hooks.example.org/${PATH_OF_MIRA}"
secret = "${KEY}"
[notify]
ping = "https://ping.example.org/s3cret"
"""
SECRETS = ("s3cret", "T0K3N", "B1234567890", "czNjcmV0", "h1dden")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH_OF_MIRA", "h1dden")
    (tmp_path / ".env").write_text("KEY=h1dden\n")
    (tmp_path / "keepwell.toml").write_text(TOLD)
    return tmp_path


def test_secrets_come_from_the_environment_and_from_dotenv(folder):
    found = read(folder)
    assert found.people["mira"].tell[1].get_secret_value() == "json://u:s3cret@localhost:8000/h1dden"
    assert found.webhooks[1].secret is not None and found.webhooks[1].secret.get_secret_value() == "h1dden"


def test_channels_have_names_that_stay_and_tell_no_secret(folder):
    assert [channel.name for channel in channels_of(read(folder))] == [
        "webhook/hooks.example.org:8443",
        "webhook/hooks.example.org",
        "mira/slack",
        "mira/json",
        "mira/json-2",
        "jo/mailto",
    ]


def test_no_door_shows_an_address(folder):
    found = read(folder)
    rows = {row["setting"]: row["value"] for row in explain(found, folder)}
    assert rows["people"]["mira"] == {"tell": ["slack://***", "json://***", "json://***"], "role": "admin"}
    assert rows["webhooks"][0] == {"url": "https://hooks.example.org:8443/***", "secret": "***", "kinds": []}
    assert rows["notify.ping"] == "https://ping.example.org/***"
    printed = [CliRunner().invoke(app, ["-C", str(folder), "config", *words]).output for words in (["show"], ["explain"])]
    seen = "\n".join([repr(found), str(found), json.dumps(rows), found.model_dump_json(), *printed])
    assert [secret for secret in SECRETS if secret in seen] == []


def test_the_question_that_an_error_names_has_an_answer(folder):
    result = CliRunner().invoke(app, ["-C", str(folder), "config", "explain", "people.mira.tell"])
    assert (result.exit_code, "slack://***" in result.output) == (0, True)


def test_a_copy_of_the_settings_holds_no_address(folder):
    text, left_out = without_secrets(TOLD)
    assert [secret for secret in SECRETS if secret in text] == []
    assert left_out == (
        "notify.ping",
        "people.jo.tell.0",
        "people.mira.tell.0",
        "people.mira.tell.1",
        "people.mira.tell.2",
        "webhooks.0.secret",
        "webhooks.0.url",
        "webhooks.1.url",
    )
    (folder / "keepwell.toml").write_text(text)
    restored = read(folder)
    assert (restored.people["mira"].tell, restored.people["jo"].tell, restored.notify.ping) == ((), (), None)
    assert str(restored.webhooks[0].url) == "https://hooks.example.org:8443/***"


@pytest.mark.parametrize(
    ("text", "setting", "problem"),
    [
        ('[people.mira]\ntell = ["slak://s3cret/x"]', "people.mira.tell", "'slak' is no kind of channel that Apprise knows"),
        ('[people.mira]\ntell = ["https://example.org/s3cret"]', "people.mira.tell", "'https' is no kind of channel"),
        ('[people.mira]\ntell = ["s3cret"]', "people.mira.tell", r"'\*\*\*' is no kind of channel"),
        ('[people.mira]\ntell = ["slack://s3cret"]', "people.mira.tell", "Apprise knows 'slack', but not with this URL"),
        ('[people.mira]\ntell = "json://s3cret"', "people.mira.tell", "must be a list"),
        ('[people.mira]\ntell = ["json://${NOT_SET_ANYWHERE}"]', "people", "environment variable NOT_SET_ANYWHERE is not set"),
        ('[people.mira]\nrole = "boss"', "people.mira.role", "'viewer', 'operator', 'maintainer' or 'admin'"),
        ('people = "s3cret"', "people", "dictionary"),
        ('[[webhooks]]\nurl = "ftp://s3cret/x"', "webhooks.0.url", "it is no address such as https://"),
        ('[[webhooks]]\nurl = "http://s3cret:99999/x"', "webhooks.0.url", "it is no address such as https://"),
        ('[[webhooks]]\nsecret = "s3cret"', "webhooks.0.url", "is needed"),
        ('[[webhooks]]\nurl = "http://h/s3cret"\nsecret = "whsec_s3cret!"', "webhooks.0.secret", "the rest is not base64"),
        ('[[webhooks]]\nurl = "http://h/s3cret"\nsecret = ""', "webhooks.0.secret", "it is empty"),
        ('[notify]\nping = "s3cret"', "notify.ping", "it is no address such as https://"),
        ("[notify]\nweekly_budget = -1", "notify.weekly_budget", "greater than or equal to 0"),
    ],
)
def test_what_cannot_be_used_is_refused_by_name_and_without_its_secret(folder, text, setting, problem):
    (folder / "keepwell.toml").write_text(text)
    with pytest.raises(SettingInvalid, match=problem) as refused:
        read(folder)
    assert refused.value.facts["setting"] == setting
    assert "s3cret" not in str(refused.value) + str(refused.value.facts)


@pytest.mark.parametrize("text", ['[people.mira]\ntel = ["json://s3cret"]', '[[webhooks]]\nurl = "http://h/s3cret"\nkind = ["x"]'])
def test_a_typo_is_refused(folder, text):
    (folder / "keepwell.toml").write_text(text)
    with pytest.raises(SettingUnknown):
        read(folder)
    assert "s3cret" not in str(look(folder)[1])


def test_a_person_can_be_given_in_the_environment(tmp_path, monkeypatch):
    (tmp_path / "keepwell.toml").write_text("")
    monkeypatch.setenv("KEEPWELL_PEOPLE__MIRA__TELL", '["json://localhost"]')
    assert [channel.name for channel in channels_of(read(tmp_path))] == ["mira/json"]


def test_who_is_told_is_no_part_of_a_version(tiny):
    with Project(tiny) as project:
        before = project.context.settings_json()
    with (tiny / "keepwell.toml").open("a") as file:
        file.write('[people.mira]\ntell = ["json://localhost/s3cret"]\n[[webhooks]]\nurl = "http://localhost/s3cret"\n')
    with Project(tiny) as project:
        assert project.context.settings_json() == before


def test_a_webhook_may_name_every_kind_of_notice_that_is_sent() -> None:
    text = "".join(path.read_text() for path in Path(keepwell.__file__).parent.rglob("*.py") if path.name != "addresses.py")
    patterns = (r'_notify\([^)]*?"([a-z_.]+)"', r'"(incident\.[a-z_]+)"', r'Notice\(\s*"([a-z_.]+)"')
    assert {kind for pattern in patterns for kind in re.findall(pattern, text)} | {TEST} == {*KINDS}
