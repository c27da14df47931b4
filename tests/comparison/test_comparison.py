"""What differs is named exactly; what does not is not."""

from __future__ import annotations

import numpy as np
import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from keepwell.comparison import answer_change, code_differences, frame_differences, package_differences, setting_differences
from keepwell.training import content_digest


def test_equal_things_differ_in_nothing() -> None:
    frame = pl.DataFrame({"k": ["a", "b"], "x": [1.0, float("nan")], "y": [None, 2]})
    assert frame_differences(frame, frame.clone(), ["k"]) == []
    assert code_differences({"a.py": "x = 1\n"}, {"a.py": "x = 1\n"}) == []
    assert package_differences({"a": "1"}, {"a": "1"}) == [] == setting_differences({"a": {"b": 1}}, {"a": {"b": 1}})


def test_a_line_a_cell_a_package_a_setting_and_a_seed_are_named() -> None:
    before = pl.DataFrame({"k": ["a", "b"], "x": [1.0, 2.0]})
    after = pl.DataFrame({"k": ["a", "b", "c"], "x": [1.0, 2.5, 9.0]})
    found = [one.sentence for one in frame_differences(before, after, ["k"])]
    assert found == ["data: 1 row only after (c)", "data: 1 row differs in column x (b: 2.0 -> 2.5)"]
    (line,) = code_differences({"m.py": "a\nb\nc\n"}, {"m.py": "a\nB\nc\n"})
    assert line.sentence == "code: m.py line 2" and "-b\n+B" in line.detail
    assert [one.sentence for one in code_differences({"m.py": ""}, {})] == ["code: m.py present -> absent"]
    packages = package_differences({"a": "1"}, {"a": "2", "b": "1"})
    assert [one.sentence for one in packages] == ["package: a 1 -> 2", "package: b absent -> 1"]
    moved = setting_differences({"build": {"seed": 1, "days": 2}}, {"build": {"seed": 2, "days": 3}})
    assert [one.sentence for one in moved] == ["setting: build.days 2 -> 3", "seed: 1 -> 2"]


def test_answers_by_slice() -> None:
    change = answer_change(np.array([0.1, 0.4, np.nan]), np.array([0.1, 0.6, 0.5]), pl.DataFrame({"s": ["a", "b", "b"]}))
    assert (change.rows, change.changed, change.crossed) == (2, 1, 1)
    assert [part[:3] for part in change.slices] == [("s = b", 1, 1.0), ("s = a", 1, 0.0)]


@given(st.lists(st.tuples(st.text(max_size=5), st.one_of(st.none(), st.floats()), st.one_of(st.none(), st.booleans())), min_size=1))
def test_a_content_digest_sees_values_and_not_chunks(rows: list[tuple[str, float | None, bool | None]]) -> None:
    kinds = {"a": pl.String, "b": pl.Float64, "c": pl.Boolean}
    frame = pl.DataFrame(rows, schema=kinds, orient="row")
    assert content_digest(frame) == content_digest(pl.concat([frame[:1], frame[1:]], rechunk=False))
    assert content_digest(frame) != content_digest(frame.with_columns(a=pl.col("a") + "x"))
    assert content_digest(frame) != content_digest(pl.concat([frame, frame[:1]]))
