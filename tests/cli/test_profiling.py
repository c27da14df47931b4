"""`keepwell profile`: tables from the command line, without a project."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest


def days(seed: int, shift: float = 0.0, n: int = 3_000) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    at = [datetime(2026, 1, 1, tzinfo=UTC) + timedelta(hours=k / 2) for k in range(n)]
    return pl.DataFrame({"at": at, "warmth": rng.normal(10 + shift, 3, n), "sky": rng.choice(["clear", "cloud"], n)})


@pytest.fixture
def tables(tmp_path):
    days(1).write_parquet(tmp_path / "may.parquet")
    days(2, shift=3).write_parquet(tmp_path / "june.parquet")
    return tmp_path


def test_a_table_is_shown_and_told_as_json(kw, tables):
    shown = kw("profile", tables / "may.parquet", "--time", "at")
    assert shown.exit_code == 0
    assert "3,000 rows, 2 columns, 63 batches of 1d from 2026-01-01 to 2026-03-04." in shown.stdout.replace("\n", " ")
    told = json.loads(kw("profile", tables / "may.parquet", "--json").stdout)
    assert told["rows"] == 3_000


def test_against_another_table_the_changed_column_is_listed(kw, tables):
    told = json.loads(kw("profile", tables / "june.parquet", "--against", tables / "may.parquet", "--time", "at", "--json").stdout)
    assert told["listed"] == ["warmth"]
    shown = kw("profile", tables / "june.parquet", "--against", tables / "may.parquet", "--time", "at", "--markdown").stdout
    assert "1 of 2 columns is listed" in shown


def test_a_kept_profile_stands_for_its_table(kw, tables):
    kept = tables / "may.profile"
    assert kw("profile", tables / "may.parquet", "--time", "at", "--save", kept).exit_code == 0
    page = tables / "drift.html"
    shown = kw("profile", tables / "june.parquet", "--against", kept, "--html", page)
    assert f"Written: {page}." in shown.stdout
    assert "<!doctype html>" in page.read_text("utf-8")
    told = json.loads(kw("profile", tables / "june.parquet", "--against", kept, "--column", "sky", "--json").stdout)
    assert [column["name"] for column in told["columns"]] == ["sky"]


def test_what_cannot_be_profiled_is_refused_in_words(kw, tables):
    (tables / "notes.csv").write_text("a,b\n")
    refused = kw("profile", tables / "notes.csv", "--json")
    assert refused.exit_code == 1
    assert json.loads(refused.stdout)["error"]["error"] == "SourceInvalid"
    assert kw("profile", tables / "may.parquet", "--html", tables / "x.html").exit_code == 2
