"""A recalibrated version: two numbers over another version's own file."""

import numpy as np
import polars as pl
import pytest
from sklearn.linear_model import LinearRegression, LogisticRegression

from keepwell.errors import FormatRefused, ModelFileInvalid
from keepwell.training import Recalibrated, answers, canonical_digest, load_model, recalibrate, save_model

DRAW = np.random.default_rng(2)
X = pl.DataFrame({"a": DRAW.normal(0, 1, 400), "b": DRAW.normal(0, 1, 400)})
SCORE = 2 * X["a"].to_numpy()
Y = (DRAW.random(400) < 1 / (1 + np.exp(-SCORE))).astype(float)
MORE = (DRAW.random(400) < 1 / (1 + np.exp(-SCORE - 1.5))).astype(float)


def made(level: float = 0.5, slope: float = 0.8) -> Recalibrated:
    file = save_model(LogisticRegression().fit(X.to_numpy(), Y))
    inner = load_model(file.format, file.data)
    return Recalibrated(inner, file.format, file.data, task="binary", frame="polars", level=level, slope=slope)


def test_its_file_answers_the_same_bit_for_bit() -> None:
    file = save_model(made())
    loaded = load_model(file.format, file.data)
    assert file.format == "recalibrated"
    assert (answers(loaded, X, "binary") == answers(made(), X, "binary")).all()
    assert save_model(loaded).data == file.data


def test_the_ranking_is_kept() -> None:
    plain, line = answers(made().inner, X, "binary"), answers(made(), X, "binary")
    inside = (plain > 0.01) & (plain < 0.99)
    assert (np.argsort(plain[inside]) == np.argsort(line[inside])).all()


def test_its_identity_is_the_model_inside_and_the_two_numbers() -> None:
    assert canonical_digest(made()) == canonical_digest(made())
    assert len({canonical_digest(one) for one in (made(), made(level=0.4), made(slope=0.7))}) == 3


def test_a_level_that_moved_is_found() -> None:
    level, slope = recalibrate("binary", 1 / (1 + np.exp(-SCORE)), MORE)
    assert level == pytest.approx(1.5, abs=0.4) and slope == pytest.approx(1, abs=0.25)


def test_a_ranking_that_is_upside_down_is_not_turned_round() -> None:
    _, slope = recalibrate("binary", 1 / (1 + np.exp(SCORE)), Y)
    assert slope == 0.05
    assert recalibrate("regression", -SCORE, SCORE)[1] == 0.05


def test_numbers_are_put_on_a_line() -> None:
    model = LinearRegression().fit(X.to_numpy(), SCORE)
    level, slope = recalibrate("regression", model.predict(X.to_numpy()), 3 + 2 * SCORE)
    assert (level, slope) == (pytest.approx(3), pytest.approx(2))


@pytest.mark.parametrize(
    "line",
    [b"no json", b'{"level": 1}', b'{"level": 0, "slope": -1, "task": "binary", "frame": "polars", "format": "skops"}',
     b'{"level": 0, "slope": 1, "task": "binary", "frame": "polars", "format": "recalibrated"}'],
    ids=["not json", "lacks names", "turned round", "nested"],
)  # fmt: skip
def test_a_forged_line_is_refused(line: bytes) -> None:
    with pytest.raises(ModelFileInvalid, match="first line"):
        load_model("recalibrated", line + b"\n" + made().inner_data)


def test_a_pickle_inside_is_refused_like_any_other() -> None:
    line = b'{"level": 0, "slope": 1, "task": "binary", "frame": "polars", "format": "pickle"}'
    with pytest.raises(FormatRefused):
        load_model("recalibrated", line + b"\n" + b"cos\nsystem\n.")
