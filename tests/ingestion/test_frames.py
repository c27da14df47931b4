"""The door for frames: odd but honest frames are read for what they say."""

import pandas as pd
import polars as pl
import pytest

from keepwell.ingestion import MOMENT, canonical, to_polars


@pytest.mark.parametrize("ids", [[1, 2], [1, 2, None]], ids=["whole", "with a gap"])
def test_a_missing_id_does_not_rename_the_others(ids: list[int | None]) -> None:
    frame = to_polars(pd.DataFrame({"site": ids, "day": ["2026-01-01"] * len(ids)}), "gather")
    assert canonical(frame, entity="site", time="day", what="It")["site"].to_list()[:2] == ["1", "2"]


@pytest.mark.parametrize("frame", [pl.DataFrame(), pl.DataFrame({"site": [], "day": []})], ids=["bare", "without types"])
def test_nothing_new_is_an_answer_however_bare(frame: pl.DataFrame) -> None:
    found = canonical(frame, entity="site", time="day", what="It")
    assert (found.height, found.schema["site"], found.schema["day"]) == (0, pl.String, MOMENT)
