"""From observations and labels to a training set that can always be read again, split forward in time."""

from __future__ import annotations

import io
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import polars as pl

from keepwell.errors import EmptyWindow
from keepwell.ingestion import key_of
from keepwell.model import Model
from keepwell.settings import BuildSection

LABEL = "label"


@dataclass(frozen=True)
class Split:
    """Training rows and, later in time, the rows kept from training."""

    train: pl.DataFrame
    holdout: pl.DataFrame
    holdout_from: datetime


def training_set(model: Model, features: pl.DataFrame, labels: pl.DataFrame) -> pl.DataFrame:
    """Rows that have features and a label: (entity, time, label, features...), sorted by time and entity."""
    key = key_of(model.entity, model.time)
    joined = features.join(labels.select(*key, LABEL), on=list(key), how="inner")
    return joined.select(*key, LABEL, *features.columns[2:]).sort(key[1], key[0])


def split(
    model: Model,
    rows: pl.DataFrame,
    settings: BuildSection,
    *,
    window_from: datetime | None = None,
    judge_from: datetime | None = None,
) -> Split:
    """Keep the newest `holdout_days` from training; train on rows whose truth was known before the holdout begins.

    A decision may say otherwise: train only on rows since `window_from`, and keep only rows after `judge_from`, where those are fewer.

    Raises
    ------
    EmptyWindow : too few rows on either side.
    """
    if rows.height < settings.min_rows:
        raise EmptyWindow("The training set", rows.height, settings.min_rows)
    newest: datetime = rows[model.time].max()  # type: ignore[assignment]
    holdout_from = newest - timedelta(days=settings.holdout_days)
    if judge_from is not None:
        holdout_from = max(holdout_from, judge_from)
    known_by = holdout_from - timedelta(days=model.horizon_days)
    train = rows.filter(pl.col(model.time) <= known_by)
    if settings.train_days is not None:
        train = train.filter(pl.col(model.time) > known_by - timedelta(days=settings.train_days))
    if window_from is not None:
        train = train.filter(pl.col(model.time) >= window_from)
    holdout = rows.filter(pl.col(model.time) > holdout_from)
    if train.height < 20 or holdout.height < 10:
        raise EmptyWindow(f"The split at {holdout_from:%Y-%m-%d}", min(train.height, holdout.height), 20 if train.height < 20 else 10)
    return Split(train, holdout, holdout_from)


def to_bytes(rows: pl.DataFrame) -> bytes:
    """Parquet bytes; the same rows give the same bytes with the same packages."""
    buffer = io.BytesIO()
    rows.write_parquet(buffer, compression="zstd", statistics=False)
    return buffer.getvalue()


def from_bytes(content: bytes) -> pl.DataFrame:
    """The rows that `to_bytes` wrote."""
    return pl.read_parquet(io.BytesIO(content))


def inputs_and_labels(rows: pl.DataFrame) -> tuple[pl.DataFrame, np.ndarray]:
    """X (n, features) without key columns, and y (n,)."""
    return rows.select(rows.columns[3:]), rows[LABEL].to_numpy()
