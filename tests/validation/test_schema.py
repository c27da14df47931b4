import warnings

import numpy as np
import polars as pl
import pytest

from keepwell.validation import Column, Contract, schema
from keepwell.validation.coerce import coerce
from keepwell.validation.values import row_verdicts

CONTRACT = Contract(
    "station",
    "time",
    (
        Column("heat", "number", low=-5, high=5),
        Column("count", "integer", low=0, high=3, nullable=False),
        Column("open", "number", low=0),
        Column("sky", "text", categories=("clear", "grey")),
        Column("mood", "text", categories=("good",), nullable=False),
    ),
    None,
    100,
)
PANDERA = {"not_nullable": "null value", "in_range": "out of range", "isin": "new category"}


def random_frame(rng, rows):
    some = rng.normal(0, 4, rows)
    some[rng.random(rows) < 0.1] = np.inf
    frame = pl.DataFrame(
        {
            "time": np.arange(rows),
            "station": ["a"] * rows,
            "heat": some,
            "count": rng.integers(-1, 6, rows),
            "open": rng.normal(1, 1, rows),
            "sky": rng.choice(["clear", "grey", "pink"], rows),
            "mood": rng.choice(["good", "bad"], rows),
        }
    ).with_columns(pl.from_epoch("time", "d").cast(pl.Datetime("us", "UTC")))
    holes = [pl.when(pl.lit(pl.Series(rng.random(rows) < 0.85))).then(pl.col(name)).alias(name) for name in frame.columns[2:]]
    return frame.with_columns(holes)


@pytest.fixture(scope="module")
def pandera_schema():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pandera's imports warn about their own dependencies
        return schema(CONTRACT)


@pytest.mark.parametrize("seed", range(12))
def test_the_fast_verdict_is_panderas(pandera_schema, seed):
    import pandera.errors

    frame = random_frame(np.random.default_rng(seed), 25)
    expected = set()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            pandera_schema.validate(frame, lazy=True)
        except pandera.errors.SchemaErrors as errors:
            for case in errors.failure_cases.iter_rows(named=True):
                expected.add((PANDERA[str(case["check"]).split("(")[0]], case["column"], case["index"]))
    found = {(kind, column, int(at)) for (kind, column), where in row_verdicts(CONTRACT, frame).items() for at in np.flatnonzero(where)}
    assert found == expected
    assert found


@pytest.mark.parametrize("column", ["heat", "count", "sky"])
def test_a_type_that_coerce_marks_is_a_type_that_pandera_refuses(pandera_schema, column):
    import pandera.errors

    frame = random_frame(np.random.default_rng(3), 10)
    wrong = frame.with_columns(pl.lit("?").alias(column)) if column != "sky" else frame.with_columns(pl.lit(1.5).alias(column))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(pandera.errors.SchemaErrors) as errors:
            pandera_schema.validate(wrong, lazy=True)
    refused = {case["column"] for case in errors.value.failure_cases.iter_rows(named=True) if "dtype" in str(case["check"])}
    assert refused == {mark.finding.column for mark in coerce(CONTRACT, wrong)[1]} == {column}
