"""Settings: precedence, names, secrets, schema."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

import keepwell
from keepwell.addresses import KINDS
from keepwell.errors import ProjectNotFound, SettingInvalid, SettingUnknown
from keepwell.origins import explain
from keepwell.settings import json_schema, look, read

SECRETS = """
[store]
database = "postgresql://mira:s3cret@db/rain"
[source]
kind = "http"
url = "https://weather.example/data?station=1&api_key=s3cret"
headers = {Authorization = "Bearer s3cret"}
apikey = "s3cret"
[source.options]
aws_secret_access_key = "s3cret"
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    for name in ("KEEPWELL_GATE__CONFIDENCE", "KEEPWELL_PROJECT"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "keepwell.toml").write_text("")
    return tmp_path


def row(folder, name):
    return next(found for found in explain(read(folder), folder) if found["setting"] == name)


def test_each_place_outranks_the_one_before(folder, monkeypatch):
    """defaults < file < .env < environment < flag"""
    name = "gate.confidence"
    assert (row(folder, name)["value"], row(folder, name)["from"]) == (0.9, "default")
    (folder / "keepwell.toml").write_text("[gate]\nconfidence = 0.81\n")
    assert (row(folder, name)["value"], row(folder, name)["from"]) == (0.81, "keepwell.toml")
    (folder / ".env").write_text("KEEPWELL_GATE__CONFIDENCE=0.82\n")
    assert (row(folder, name)["value"], row(folder, name)["from"]) == (0.82, ".env")
    monkeypatch.setenv("KEEPWELL_GATE__CONFIDENCE", "0.83")
    assert (row(folder, name)["value"], row(folder, name)["from"]) == (0.83, "KEEPWELL_GATE__CONFIDENCE")
    flags = {"gate": {"confidence": 0.84}}
    found = next(one for one in explain(read(folder, flags), folder, flags) if one["setting"] == name)
    assert (found["value"], found["from"], found["default"]) == (0.84, "flag", 0.9)


def test_one_value_in_the_environment_leaves_the_rest_of_its_table(folder, monkeypatch):
    (folder / "keepwell.toml").write_text("[gate]\nmin_gain = 0.05\n")
    monkeypatch.setenv("KEEPWELL_GATE__CONFIDENCE", "0.8")
    assert (read(folder).gate.min_gain, read(folder).gate.confidence) == (0.05, 0.8)


@pytest.mark.parametrize(
    ("text", "nearest"),
    [
        ("[gate]\nconfidense = 0.8", "gate.confidence"),
        ("[gates]\nconfidence = 0.8", "gate"),
        ("[build]\nconfidence = 0.8", "gate.confidence"),
        ("[retrain]\nzzzz = 1", None),
        ("[people.mira]\ntel = []", "people.mira.tell"),
        ("[[webhooks]]\nurl = 'http://a.example'\nkind = []", "webhooks.0.kinds"),
    ],
)
def test_an_unknown_name_is_refused_with_the_nearest(folder, text, nearest):
    (folder / "keepwell.toml").write_text(text)
    with pytest.raises(SettingUnknown) as refused:
        read(folder)
    assert refused.value.facts["nearest"] == nearest
    assert refused.value.facts["where"] == str(folder / "keepwell.toml")


@pytest.mark.parametrize("place", ["environment", ".env"])
def test_a_typo_in_the_environment_is_refused(folder, monkeypatch, place):
    if place == ".env":
        (folder / ".env").write_text("KEEPWELL_GATE__CONFIDENSE=0.8\n")
    else:
        monkeypatch.setenv("KEEPWELL_GATE__CONFIDENSE", "0.8")
    with pytest.raises(SettingUnknown, match=r"gate\.confidence"):
        read(folder)


def test_dotenv_may_hold_what_sources_read(folder):
    """`${RAIN_KEY}` in [source] reads the environment, then .env: other names there are none of ours."""
    (folder / ".env").write_text("RAIN_KEY=abc\nKEEPWELL_GATE__CONFIDENCE=0.8\n")
    assert read(folder).gate.confidence == 0.8


@pytest.mark.parametrize(
    ("text", "setting"),
    [
        ("[gate]\nconfidence = 2", "gate.confidence"),
        ("[build]\nholdout_days = 'long'", "build.holdout_days"),
        ("[schedule]\ncron = 'at six'", "schedule.cron"),
        ("[schedule]\ntimezone = 'Mars/Base'", "schedule.timezone"),
        ("[search]\nC = []", "search"),
        ("[search]\nC = [1, 2, 3, 4, 5, 6, 7, 8, 9]\nD = [1, 2, 3, 4, 5, 6, 7, 8]", "search"),
        ("gate = [", "keepwell.toml"),
    ],
)
def test_an_impossible_value_is_named(folder, text, setting):
    (folder / "keepwell.toml").write_text(text)
    with pytest.raises(SettingInvalid) as refused:
        read(folder)
    assert refused.value.facts["setting"] == setting


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[search]\nC = 0.1", r"is 0\.1: it must be a list, in square brackets\."),
        ("[gate]\nconfidence = 90", r"is 90: it must be less than 1\."),
        ("[serve]\nworkers = 'two'", r"is 'two': it must be a whole number\."),
        ("[[webhooks]]\nsecret = 'x'", r"'webhooks\.0\.url' .* is 'missing': it is needed\."),
        ("[store]\ndatabase = 'mysql://mira:s3cret@db/rain'", r"is 'mysql://[^s]*': the record is kept in sqlite:///FILE or postgresql://"),
        ("[schedule]\ncron = 'at six'", r"'schedule\.cron' .* is 'at six': it is not a cron line such as '0 6 \* \* \*'\."),
        ("gate = [", r"is 'not TOML': [^`]*$"),
        (
            "[[webhooks]]\nurl = 'http://a.example'\nkinds = ['incidents.*']",
            r"'incidents\.\*'; did you mean 'incident\.\*'\? .*incident\.opened",
        ),
    ],
)
def test_what_is_wrong_is_said_in_the_words_of_the_file(folder, text, words):
    (folder / "keepwell.toml").write_text(text)
    with pytest.raises(SettingInvalid, match=words):
        read(folder)


def test_webhooks_can_ask_for_every_kind_that_is_told():
    """A kind that the settings do not know could not be asked for by itself."""
    rooms = [Path(keepwell.__file__).parent / room for room in ("incidents", "orchestration", "reporting")]
    told = {
        word
        for room in rooms
        for file in room.rglob("*.py")
        for word in re.findall(r'"((?:approval|checkup|incident|model)\.[a-z_]+)"', file.read_text())
    }
    assert told == set(KINDS) - {"test"}


def test_a_wrong_value_in_the_environment_names_the_variable(folder, monkeypatch):
    monkeypatch.setenv("KEEPWELL_GATE__CONFIDENCE", "much")
    with pytest.raises(SettingInvalid, match="in KEEPWELL_GATE__CONFIDENCE is 'much'"):
        read(folder)


def test_look_tells_everything_that_is_wrong(folder):
    (folder / "keepwell.toml").write_text("[gate]\nconfidense = 0.8\nmin_gain = -1\n[build]\nmin_rows = 1\n")
    found, problems = look(folder)
    assert found is None
    assert [problem.facts["setting"] for problem in problems] == ["gate.confidense", "build.min_rows", "gate.min_gain"]


def test_no_file_is_no_project(tmp_path):
    with pytest.raises(ProjectNotFound):
        read(tmp_path)


def test_an_empty_cron_line_means_no_schedule(folder):
    (folder / "keepwell.toml").write_text("[schedule]\ncron = ''\n")
    assert read(folder).schedule.cron is None


def test_secrets_are_never_shown(folder, monkeypatch):
    (folder / "keepwell.toml").write_text(SECRETS)
    monkeypatch.setenv("KEEPWELL_SERVE__TOKEN", "s3cret")
    found = read(folder)
    assert found.store.database == "postgresql://mira:s3cret@db/rain"
    assert "s3cret" not in repr(found) + str(found)
    assert "s3cret" not in json.dumps(explain(found, folder))
    assert "mira:***@db" in repr(found)


def test_a_wrong_secret_is_not_told(folder, monkeypatch):
    monkeypatch.setenv("KEEPWELL_SERVE__TOKEN", '{"s3cret": 1}')
    monkeypatch.setenv("KEEPWELL_SERVE__PORT", "no")
    assert "s3cret" not in " ".join(problem.message for problem in look(folder)[1])


def test_every_setting_has_a_line_of_help(folder):
    assert not [found["setting"] for found in explain(read(folder), folder) if not found["help"]]


def test_schema_names_its_draft_and_describes_every_setting():
    schema = json_schema()
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    for section in schema["$defs"].values():
        assert section["description"]
        assert all(setting.get("description") for setting in section["properties"].values())
