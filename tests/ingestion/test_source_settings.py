from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
from pydantic import SecretStr

from keepwell.errors import SettingInvalid, SettingUnknown
from keepwell.ingestion import sources
from keepwell.ingestion.options import Secrets
from keepwell.ingestion.readings import Offutt
from keepwell.ingestion.sources import KINDS, open_source
from keepwell.settings import GatherSection, SourceSection

PLACE = {"kind": "open-meteo", "latitude": 41.1, "longitude": -95.9, "variables": ["rain_sum"]}
QUERY = "select * from readings where day between :since and :until"
GOOD = {
    "open-meteo": PLACE,
    "sql": {"kind": "sql", "url": "sqlite://", "query": QUERY},
    "files": {"kind": "files", "path": "a.csv", "time": "day"},
    "http": {"kind": "http", "url": "https://rain.example/?from={since}", "time": "day"},
    "offutt": {"kind": "offutt"},
}


def opened(settings, folder=Path(".")):
    return open_source(SourceSection(**settings), folder, GatherSection(wait_s=0))


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_opens_without_asking_anything(kind):
    assert callable(opened(GOOD[kind]))


def test_kind_none_gives_no_source():
    assert opened({"kind": "none"}) is None


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({**PLACE, "latitud": 1}, r"no setting 'source.latitud'.*'open-meteo'.*Did you mean 'source.latitude'"),
        ({"kind": "offutt", "station": "x"}, "no setting 'source.station'"),
    ],
)
def test_an_unknown_name_is_refused_with_the_nearest_one(settings, message):
    with pytest.raises(SettingUnknown, match=message):
        opened(settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"kind": "open-meto"}, "'open-meto': did you mean 'open-meteo'"),
        ({"kind": "none", "url": "x"}, "'url' is set, but kind 'none' reads no setting"),
        ({"kind": "open-meteo"}, "source.latitude.*needs it"),
        ({**PLACE, "latitude": 91}, "source.latitude.* is 91.*less than or equal to 90"),
        ({**PLACE, "variables": []}, "source.variables"),
        ({**PLACE, "variables": ["sunrise"]}, "sunrise is a time of day"),
        ({**PLACE, "resolution": "hourly", "timezone": "Europe/Berlin"}, "hourly times are always UTC"),
        ({**PLACE, "apikey": "${NOT_SET_ANYWHERE}"}, "environment variable NOT_SET_ANYWHERE is not set"),
        ({**GOOD["sql"], "query": "select * from readings where day > :since"}, "must use :until"),
        ({**GOOD["sql"], "url": "no url"}, "not a SQLAlchemy URL"),
        ({**GOOD["sql"], "url": "sqlite:///nowhere.db"}, "no such SQLite file"),
        ({**GOOD["sql"], "url": "nothing://host/db"}, "no driver"),
        ({**GOOD["files"], "path": "readings.xlsx"}, "set `format`"),
        ({**GOOD["http"], "url": "https://rain.example/"}, "must use {since} or {until}"),
    ],
)
def test_an_impossible_value_is_refused_with_the_reason(settings, message):
    with pytest.raises(SettingInvalid, match=message):
        opened(settings)


def test_lists_may_come_as_text_from_the_environment():
    assert opened({**PLACE, "variables": "rain_sum, temperature_2m_max"}).options.variables == ("rain_sum", "temperature_2m_max")


def test_a_plugin_is_found_by_its_entry_point(monkeypatch):
    plugin = EntryPoint("tide", "keepwell.ingestion.readings:open_offutt", "keepwell.sources")
    monkeypatch.setattr(sources, "entry_points", lambda group: [plugin] if group == "keepwell.sources" else [])

    assert opened({"kind": "tide"}) == Offutt()


@pytest.mark.parametrize(
    ("settings", "secret"),
    [
        ({**PLACE, "apikey": "k3y-literal"}, "k3y-literal"),
        ({**PLACE, "apikey": ["k3y-literal"]}, "k3y-literal"),
        ({**GOOD["http"], "headers": {"Authorization": "Bearer k3y"}}, "k3y"),
        ({**GOOD["http"], "headers": "Bearer k3y"}, "k3y"),
        ({**GOOD["http"], "url": "https://u:pass1@rain.example/?key=pass1&from={since}"}, "pass1"),
        ({**GOOD["http"], "url": "https://u:pass1@rain.example/"}, "pass1"),
        ({**GOOD["files"], "options": {"aws_secret_access_key": "pass1"}}, "pass1"),
        ({**GOOD["files"], "path": "https://u:pass1@rain.example/a.csv"}, "pass1"),
        ({**GOOD["sql"], "url": "postgresql+psycopg://u:pass1@host/db"}, "pass1"),
        ({**GOOD["sql"], "url": "postgresql+psycopg://host/db?password=pass1"}, "pass1"),
        ({**GOOD["sql"], "url": "post gresql//u:pass1@host/db"}, "pass1"),
    ],
)
def test_no_secret_is_in_a_repr_or_a_refusal(settings, secret):
    try:
        shown = repr(opened(settings))
    except SettingInvalid as error:
        shown = f"{error} {error.as_dict()}"

    assert secret not in shown


def test_the_environment_outranks_the_dotenv_file(tmp_path, monkeypatch):
    (tmp_path / ".env").write_text("RAIN_A=from-file\nRAIN_B=from-file\n")
    monkeypatch.setenv("RAIN_A", "from-environment")

    secrets = Secrets(tmp_path)

    assert secrets.reveal(SecretStr("${RAIN_A}/${RAIN_B}"), "source.x") == "from-environment/from-file"
    assert secrets.hide("from-file") == "***"


def test_a_secret_is_hidden_in_its_url_form_too(tmp_path):
    secrets = Secrets(tmp_path)
    secrets.remember(["p@ss/word 1"])

    assert secrets.hide("p%40ss%2Fword%201 p%40ss%2Fword+1 p@ss/word 1") == "*** *** ***"
