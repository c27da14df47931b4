"""A comparison lists what changed, in words, and shows it safely at every door."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from rich.console import Console
from scipy import stats

from keepwell.errors import ProfilesDiffer
from keepwell.profiling import Comparison, compare, document, profile

HOSTILE = "<script>alert('x')</script>"
START = datetime(2026, 1, 1, tzinfo=UTC)


def table(seed: int, *, days: int = 60, shift: float = 0.0, wide: float = 1.0, often: float = 0.5, lost: float = 0.0) -> pl.DataFrame:
    n = days * 100
    rng = np.random.default_rng(seed)
    warmth = rng.normal(10 + 5 * shift, 5, n)
    return pl.DataFrame(
        {
            "at": [START + timedelta(days=k / 100) for k in range(n)],
            "warmth": warmth,
            "wind": rng.normal(0, wide, n),
            "sky": rng.choice(["clear", "cloud"], n, p=[often, 1 - often]),
            "damp": pl.Series(np.where(rng.random(n) < lost, np.nan, rng.random(n))).fill_nan(None),
            HOSTILE: rng.random(n),
            "always": np.ones(n),
        }
    )


@pytest.fixture(scope="module")
def before():
    return profile(table(1), time="at")


@pytest.fixture(scope="module")
def moved(before) -> Comparison:
    return compare(before, profile(table(2, shift=0.6, wide=1.5, often=0.3, lost=0.1), reference=before))


def sentence(found: Comparison, name: str) -> str:
    return next(column.sentence for column in found.columns if column.name == name)


def test_nothing_is_listed_when_nothing_changed(before):
    same = compare(before, profile(table(3), reference=before))
    assert same.listed == ()
    assert {column.sentence for column in same.columns} == {"as before"}


def test_what_changed_is_listed_first_and_told_in_words(moved):
    assert set(moved.listed) == {"warmth", "wind", "sky", "damp"}
    assert [column.is_listed for column in moved.columns] == sorted([column.is_listed for column in moved.columns], reverse=True)
    assert sentence(moved, "warmth").startswith("up by 0.6")
    assert "times as wide" in sentence(moved, "wind")
    assert sentence(moved, "sky").startswith(("'clear' fell from", "'cloud' rose from"))
    assert sentence(moved, "damp").startswith("missing rose from 0.0% to 1")


def test_measures_are_those_of_the_raw_values(before):
    one, two = table(1), table(2, shift=0.6)
    found = compare(before, profile(two, reference=before))
    measures = next(column.measures for column in found.columns if column.name == "warmth")
    values = one["warmth"].to_numpy(), two["warmth"].to_numpy()
    assert measures["ks"] <= stats.ks_2samp(*values).statistic <= measures["ks"] + measures["ks_error"]
    assert measures["wasserstein"] == pytest.approx(stats.wasserstein_distance(*values) / values[0].std(ddof=1), abs=0.03)
    assert measures["shift"] == pytest.approx((values[1].mean() - values[0].mean()) / values[0].std(ddof=1))


def test_a_trivial_move_of_very_many_rows_is_not_listed():
    rng = np.random.default_rng(4)
    one = profile(pl.DataFrame({"x": rng.normal(0, 1, 300_000)}))
    found = compare(one, profile(pl.DataFrame({"x": rng.normal(0.05, 1, 300_000)}), reference=one))
    assert found.columns[0].e_value > 1e6  # it is certain
    assert found.listed == ()  # and small


def test_columns_that_come_and_go_are_listed(before):
    after = profile(table(3).rename({"wind": "gust"}), reference=before)
    found = compare(before, after)
    assert {column.name: column.sentence for column in found.columns if column.is_listed} == {"wind": "is gone", "gust": "is new"}


def test_a_column_that_became_another_kind_is_listed(before):
    found = compare(before, profile(table(3).with_columns(warmth=pl.lit("mild")), reference=before))
    assert found.listed == ("warmth",)
    assert sentence(found, "warmth") == "holds String that are not numbers"


def test_a_column_that_lost_all_values_is_listed(before):
    found = compare(before, profile(table(3).with_columns(warmth=pl.lit(None, dtype=pl.Float64)), reference=before))
    assert found.listed == ("warmth",)
    assert sentence(found, "warmth") == "missing rose from 0.0% to 100.0%"


def test_too_few_days_list_nothing_and_say_so(before):
    found = compare(before, profile(table(2, days=5, shift=2), reference=before))
    assert found.listed == ()
    assert sentence(found, "warmth").endswith("(not proven)")
    assert "5 days against 60 are too few" in found.as_markdown()


def test_without_a_time_rows_are_the_evidence_and_that_is_said():
    one = profile(table(1).drop("at"))
    found = compare(one, profile(table(2, shift=0.6).drop("at"), reference=one))
    assert found.listed == ("warmth",)
    assert "if rows are independent" in found.as_markdown()


def test_slices_are_compared_as_profiles_are(before):
    one = profile(table(1), time="at", by="sky")
    two = profile(table(2, shift=1.0), reference=one)
    assert "warmth" in compare(one.slice("clear"), two.slice("clear")).listed


def test_profiles_of_other_rulers_are_refused(before):
    with pytest.raises(ProfilesDiffer, match="another ruler"):
        compare(before, profile(table(2), time="at"))


def test_empty_profiles_compare_to_nothing(before):
    found = compare(before, profile(table(1).head(0), reference=before))
    assert found.listed == ()
    assert found.as_markdown()


def test_json_has_all_of_it(moved):
    told = json.loads(json.dumps(moved.as_dict(), allow_nan=False))
    assert set(told["listed"]) == set(moved.listed)
    assert len(told["columns"]) == 6


def test_a_page_escapes_names_and_needs_nothing_from_outside(moved):
    for page in (moved._repr_html_(), document(moved, HOSTILE)):
        assert "<script" not in page
        assert "&lt;script&gt;" in page
        assert "http" not in page
        assert "prefers-color-scheme:dark" in page
    assert len(moved._repr_html_()) < 30_000


def test_markdown_keeps_its_columns_whatever_a_name_holds(before):
    one = profile(pl.DataFrame({"a|b\nc": [1.0, 2.0], "`d`": [1.0, 2.0]}))
    lines = compare(one, one).as_markdown().splitlines()
    assert len(lines) == 6
    assert {line.replace("\\|", "").count("|") for line in lines[2:]} == {10}


def test_the_terminal_shows_a_name_as_it_is(moved):
    with Path("/dev/null").open("w") as nowhere:
        console = Console(width=120, record=True, file=nowhere)
        console.print(moved)
    shown = console.export_text()
    assert "<script>" in shown
    assert "4 of 6 columns are listed" in shown
