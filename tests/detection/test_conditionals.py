"""A column is told from the others: a change of all together is none, a change of one is, and what is told again in part is told alike."""

import numpy as np
import streams

from keepwell.detection import Columns, Conditionals, Rows

FRAME = streams.stream(200, seed=1)
COLUMNS = Columns.of(FRAME, time="time", entity="station", names=["station", "warmth", "damp", "wind", "pressure", "sky"])
ROWS = COLUMNS.read(FRAME)
FITTED, RESIDUALS = Conditionals.fit(COLUMNS, ROWS)
WARMTH, DAMP, WIND = 0, 1, 2


def changed(**numbers: np.ndarray) -> Rows:
    values = ROWS.numbers.copy()
    for name, column in numbers.items():
        values[:, [one.name for one in COLUMNS.numbers].index(name)] = column
    return Rows(ROWS.time, ROWS.entity, values, ROWS.codes)


def test_residuals_of_the_reference_have_unit_spread_out_of_fold() -> None:
    assert np.allclose(RESIDUALS.std(axis=0), 1, atol=0.05)


def test_a_broken_column_is_furthest_off_itself() -> None:
    off = np.abs(FITTED.residuals(changed(damp=ROWS.numbers[:, DAMP] + 20))).mean(axis=0)
    assert off.argmax() == DAMP


def test_rows_that_differ_in_some_columns_are_told_from_the_others_with_the_same_answer() -> None:
    """To 1e-9: columns broken, blanked and exchanged, categories lost, in some of the rows."""
    near = FITTED.told(ROWS)
    half = np.arange(len(ROWS)) % 2 == 0
    blank = np.where(half, np.nan, ROWS.numbers[:, WARMTH])
    lost = np.where(half[:, None], -2, ROWS.codes).astype(np.int32)
    exchanged = changed(warmth=ROWS.numbers[:, DAMP], damp=ROWS.numbers[:, WARMTH])
    for rows in (ROWS, changed(damp=ROWS.numbers[:, DAMP] * 1.8 + 32), changed(warmth=blank), exchanged):
        for one in (rows, Rows(rows.time, rows.entity, rows.numbers, lost)):
            assert np.allclose(FITTED.residuals(one, near), FITTED.residuals(one), atol=1e-9, rtol=0, equal_nan=True)
            assert np.allclose(FITTED.expected(one, near), FITTED.expected(one), atol=1e-9, rtol=0)
            assert (FITTED.likely_levels(one, 1, near) == FITTED.likely_levels(one, 1)).all()
            quick, slow = FITTED.repaired(one, [WARMTH, DAMP], [1], near), FITTED.repaired(one, [WARMTH, DAMP], [1])
            assert np.allclose(quick.numbers, slow.numbers, atol=1e-9, rtol=0, equal_nan=True)
            assert (quick.codes == slow.codes).all()


def test_repair_replaces_only_the_named_columns() -> None:
    found = FITTED.repaired(ROWS, [WIND], [])
    assert (found.numbers[:, [WARMTH, DAMP]] == ROWS.numbers[:, [WARMTH, DAMP]]).all()
    assert np.corrcoef(found.numbers[:, WIND], ROWS.numbers[:, WIND])[0, 1] ** 2 > 0.9 * FITTED.r2[WIND]


def test_a_category_is_repaired_only_where_it_is_missing_or_unseen() -> None:
    codes = ROWS.codes.copy()
    codes[:100, 1] = -2
    found = FITTED.repaired(Rows(ROWS.time, ROWS.entity, ROWS.numbers, codes), [], [1])
    assert (found.codes[100:] == codes[100:]).all()
    assert (found.codes[:100, 1] >= 0).all()
