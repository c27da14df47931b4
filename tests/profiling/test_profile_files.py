"""Profiles of files: Parquet, folders, patterns and Delta tables give what their rows give, a chunk at a time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from deltalake import write_deltalake

from keepwell.errors import SourceInvalid
from keepwell.profiling import profile, reading, scan

DAYS = 40
START = datetime(2026, 1, 1, tzinfo=UTC)


def year(seed: int = 1, n: int = 4_000) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    return pl.DataFrame(
        {
            "at": [START + timedelta(days=DAYS * k / n) for k in range(n)],
            "x": rng.normal(5, 2, n),
            "k": rng.integers(0, 9, n),
            "w": rng.choice(["a", "b", "c"], n),
        }
    )


@pytest.fixture
def whole():
    return profile(year(), time="at")


@pytest.mark.parametrize("how", ["file", "folder", "pattern", "delta", "query"])
def test_a_table_is_profiled_wherever_it_lies(tmp_path, whole, how):
    frame = year()
    if how == "delta":
        write_deltalake(str(tmp_path / "t"), frame.to_arrow(), mode="overwrite")
        source = tmp_path / "t"
    elif how in ("folder", "pattern"):
        (tmp_path / "t").mkdir()
        for place in range(4):
            frame[place * 1000 : (place + 1) * 1000].write_parquet(tmp_path / "t" / f"part{place}.parquet")
        source = tmp_path / "t" if how == "folder" else tmp_path / "t" / "*.parquet"
    else:
        frame.write_parquet(tmp_path / "t.parquet", row_group_size=700)
        source = tmp_path / "t.parquet" if how == "file" else pl.scan_parquet(tmp_path / "t.parquet")
    found = profile(source, time="at", reference=whole)
    assert found.as_dict()["rows"] == 4_000
    for name in ("x", "k", "w"):
        assert found.columns[name].bins.tolist() == whole.columns[name].bins.tolist()
        assert found.columns[name].fine.tolist() == whole.columns[name].fine.tolist()


def test_small_chunks_give_the_same_profile(tmp_path, whole, monkeypatch):
    """Segments are cut by stretches and pieces, columns by blocks, rows are moved and sums merged: none of it may show."""
    year().sample(fraction=1, shuffle=True, seed=2).write_parquet(tmp_path / "t.parquet")
    monkeypatch.setattr(reading, "STRETCH_ROWS", 512)
    monkeypatch.setattr(reading, "BLOCK_CELLS", 1_024)  # two columns to a block
    monkeypatch.setattr(scan, "PIECE_ROWS", 128)
    told = []
    found = profile(tmp_path / "t.parquet", time="at", reference=whole, progress=lambda done, height: told.append((done, height)))
    assert told[-1] == (4_000, 4_000)
    assert len(told) == 16  # two blocks of eight stretches
    assert found.columns["x"].bins.tolist() == whole.columns["x"].bins.tolist()
    assert found.columns["x"].moments == pytest.approx(whole.columns["x"].moments)


@pytest.mark.parametrize("cells", [1, 8_000_000], ids=["a column at a time", "at once"])
def test_files_may_lack_a_column_or_hold_it_in_another_type(tmp_path, monkeypatch, cells):
    monkeypatch.setattr(reading, "BLOCK_CELLS", cells)
    pl.DataFrame({"x": [1, 2], "w": ["a", "b"]}).write_parquet(tmp_path / "1.parquet")
    pl.DataFrame({"x": [2.5, 1.0]}).write_parquet(tmp_path / "2.parquet")
    found = {column["name"]: column for column in profile(tmp_path).as_dict()["columns"]}
    assert found["x"]["max"] == 2.5
    assert (found["w"]["values"], found["w"]["nulls"]) == (2, 2)


def test_a_ruler_is_fitted_to_all_seasons_of_a_file(tmp_path):
    n = 120_000
    pl.DataFrame({"x": np.sin(np.arange(n) / n * 2 * np.pi)}).write_parquet(tmp_path / "t.parquet", row_group_size=10_000)
    shares = profile(tmp_path / "t.parquet").columns["x"].bins[0] / n
    assert shares.max() < 0.4


BROKEN = {"missing": None, "not parquet": b"a,b\n1,2\n", "cut": b"PAR1" + b"\0" * 40}


@pytest.mark.parametrize("content", BROKEN.values(), ids=BROKEN)
def test_what_is_not_parquet_is_refused_by_name(tmp_path, content):
    path = tmp_path / "t.parquet"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SourceInvalid, match=r"t\.parquet (does not exist|is not Parquet that can be read)"):
        profile(path)


def test_a_folder_without_tables_is_refused(tmp_path):
    with pytest.raises(SourceInvalid, match="is a folder without Parquet files"):
        profile(tmp_path)
