"""The shapes of requests and answers, as OpenAPI shows them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from keepwell.errors import InputInvalid

Name = Annotated[str, Field(max_length=200)]
ALL = "all"  # entity of a model that has none
NO_TIME = "An ISO time such as 2026-03-01T00:00:00Z is needed."


def moment_of(text: str) -> datetime | None:
    """An ISO time, UTC where it says no offset; None when it is none.

    Examples
    --------
    >>> moment_of("2026-03-01T02:00:00+02:00").isoformat(), moment_of("yesterday"), moment_of("0001-01-01T00:00:00+10:00")
    ('2026-03-01T00:00:00+00:00', None, None)
    """
    try:
        moment = datetime.fromisoformat(text)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):  # the first and the last year have moments that UTC has not
        return None


def given_moment(name: str, text: str) -> datetime:
    """The same of what a request gives under a name. Raises InputInvalid."""
    if (moment := moment_of(text)) is None:
        raise InputInvalid(f"'{name}' is {text[:50]!r}", NO_TIME)
    return moment


class Body(BaseModel):
    """A request; unknown names are refused, so that a typo is not silently nothing."""

    model_config = ConfigDict(extra="forbid")


class PredictBody(Body):
    """Rows to answer, or entities whose newest stored observations are to be answered."""

    rows: list[dict[str, Any]] | None = Field(
        None,
        description="Feature rows: {feature: value}, or {'entity': ..., 'time': ..., 'features': {feature: value}} to name the row "
        "so that its label can be joined by (entity, time). A missing number is null.",
        examples=[[{"temperature": 61.5, "rained": 1.0}]],
    )
    entity: Name | None = Field(None, description="Entity of all rows that do not name their own.")
    time: Name | None = Field(None, description="Time of all rows that do not name their own: ISO 8601, UTC when without offset.")
    entities: list[Name] | None = Field(None, description="Instead of rows: the server computes the features of each from its newest data.")


class Answer(BaseModel):
    """One prediction. It is on the server's disk before this is sent, unless the log is async."""

    prediction_id: str | None = Field(description="Post the label under this id; null where only a share is kept and this one is not.")
    version: int = Field(description="Model version that answered.")
    probability: float | None = Field(None, description="Probability of class 1; models of task 'binary'.")
    prediction: float | None = Field(None, description="Predicted value; models of task 'regression'.")
    entity: str | None = Field(None, description="Whose row this is, where it was named.")
    time: str | None = Field(None, description="The row's time, where it was named.")
    data_as_of: str | None = Field(None, description="Of an entity that was looked up: the moment its newest data is of.")
    data_age_s: float | None = Field(None, description="How old that is, seconds.")
    is_stale: bool | None = Field(None, description="Whether that is beyond [lookup] max_age_days.")


class PredictAnswer(BaseModel):
    """Predictions in the order of the rows."""

    model: str
    version: int
    predictions: list[Answer]
    log: str | None = Field(None, description="'async' when answers are sent before the disk has them; else it is left out.")


class LabelItem(Body):
    """The truth of one row, named by prediction id or by (entity, time)."""

    prediction_id: Name | None = None
    entity: Name | None = None
    time: Name | None = Field(None, description="ISO 8601, UTC when without offset.")
    label: Any = Field(description="0 or 1 (binary), or a number.")


class LabelsBody(Body):
    """Labels to keep: all of them, or none."""

    labels: list[LabelItem]


class LabelsAnswer(BaseModel):
    """How many were new, restated, and known already."""

    new: int
    changed: int
    same: int


class WordBody(Body):
    """A person's word on a version."""

    comment: str = Field("", max_length=2000, description="Why; kept on record.")


class ErrorBody(BaseModel):
    """Every refusal has this shape."""

    error: str = Field(description="What kind of refusal, by name.")
    headline: str
    message: str = Field(description="What was asked, what was found, what to do.")
    facts: dict[str, Any] = Field(description="What the message was made from.")
