"""The model card: complete, honest about gaps, and readable by the hub's tools."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keepwell.evaluation import Evidence, by_slice, decide, model_card, score
from keepwell.evaluation.yaml_head import yaml_head
from keepwell.settings import GateSection

yaml = pytest.importorskip("yaml")
Y = np.array([0, 1, 1, 0, 1, 0, 1, 1] * 20, float)
P = np.where(Y == 1, 0.8, 0.3)
FACTS = {
    "name": "rain",
    "task": "binary",
    "version": 3,
    "library": "sklearn",
    "license": "cc-by-4.0",
    "text": "Will it rain tomorrow? Not for flood warnings.",
    "data": {"training_rows": 3650, "since": "2010-01-01"},
    "evaluation": {"since": "2024-01-01", "until": "2024-12-31"},
    "metrics": score("binary", Y, P),
    "slices": by_slice("binary", Y, P, pl.DataFrame({"station": ["a|b", "c"] * 80})),
    "baselines": {"climatology": score("binary", Y, np.full(160, 0.6))},
    "gate": decide(GateSection(max_calibration_error=None), Evidence(task="binary", y=Y, challenger=P)),
    "lineage": {"training_set": "ab12"},
    "environment": {"scikit-learn": "1.9.1"},
    "limits": ["Trained on one city."],
}
SECTIONS = [
    "Model details",
    "Intended use",
    "Data",
    "Training",
    "Evaluation",
    "Baselines",
    "Gate decision",
    "Limits",
    "Lineage",
    "Environment",
]


def head(card):
    return yaml.safe_load(card.split("---\n")[1])


def test_the_head_is_what_the_hub_reads():
    found = head(model_card(FACTS))
    assert found["pipeline_tag"] == "tabular-classification"
    assert found["license"] == "cc-by-4.0"
    result = found["model-index"][0]["results"][0]
    assert found["model-index"][0]["name"] == "rain"
    assert result["task"]["type"] == "tabular-classification"
    assert result["dataset"] == {
        "type": "keepwell", "name": "rain labelled rows 2024-01-01 to 2024-12-31", "split": "holdout", "revision": "ab12"
    }  # fmt: skip
    values = {metric["type"]: metric["value"] for metric in result["metrics"]}
    assert values["brier_score"] == pytest.approx(np.mean((P - Y) ** 2))


def test_every_section_is_there_in_order():
    card = model_card(FACTS)
    assert [line[3:] for line in card.splitlines() if line.startswith("## ")] == SECTIONS
    assert "# rain, version 3\n" in card
    assert "Not for flood warnings." in card
    assert "Trained on one city." in card


def test_a_card_of_almost_nothing_says_what_is_not_known():
    card = model_card({"name": "rain", "task": "regression"})
    assert [line[3:] for line in card.splitlines() if line.startswith("## ")] == SECTIONS
    assert "model-index" not in head(card)
    for words in ("Not recorded.", "Not evaluated.", "No baseline was scored.", "has not been to the gate", "has not said what it is for"):
        assert words in card


def test_numbers_come_with_intervals_also_by_slice():
    card = model_card(FACTS)
    brier = FACTS["metrics"]["brier"]
    assert f"| Brier score | {brier.value:.4g} | ({brier.low:.4g} to {brier.high:.4g}) | 160 |" in card
    assert "| station = a\\|b | 80 |" in card


def test_what_could_not_be_judged_is_a_limit():
    facts = {**FACTS, "metrics": score("binary", np.zeros(9), np.full(9, 0.1))}
    assert "- roc_auc could not be judged: all 9 labels are 0." in model_card(facts)


def test_records_may_come_as_dicts():
    from dataclasses import asdict

    plain = {**FACTS, "metrics": {k: asdict(v) for k, v in FACTS["metrics"].items()}, "gate": asdict(FACTS["gate"])}
    assert model_card(plain) == model_card(FACTS)


def test_text_cannot_break_out_of_the_head_or_a_table():
    card = model_card({**FACTS, "name": 'x"\n---\n| a', "owner": "<script>|\n## Own heading"})
    assert head(card)["model-index"][0]["name"] == 'x"\n---\n| a'
    assert "<script>" not in card
    assert "\n## Own heading" not in card


plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=12,
)


@settings(max_examples=50, deadline=None)
@given(st.dictionaries(st.text(max_size=8), plain, min_size=1, max_size=4))
def test_the_head_says_in_yaml_what_it_was_given(facts):
    assert yaml.safe_load(yaml_head(facts)) == facts
