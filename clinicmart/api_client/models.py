# Made by `make generate` from the OpenAPI document of the API. Do not edit.
"""Questions and answers of the API."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, RootModel


class Column(BaseModel):
    """
    A column of an answer. `kind` is text, whole, decimal, fraction, day, time or flag.
    """

    name: str
    kind: Literal["text", "whole", "decimal", "fraction", "day", "time", "flag"]


class FeedState(BaseModel):
    """
    A feed that a figure rests on. `message` is empty where nothing is amiss.
    """

    feed: str
    kind: str
    entities: list[str]
    last_read_at: AwareDatetime | None
    newest_day: date | None
    rows_landed: int
    files_refused: int
    message: str


class Member(BaseModel):
    """
    A value of a dimension. `parent_id` is the unit above, of service units alone.
    """

    id: str | None
    name: str | None
    parent_id: str | None = None


class Metric(BaseModel):
    """
    One metric in words.
    """

    name: str
    label: str
    description: str
    unit: str
    direction: str
    module: str
    numerator: str
    denominator: str
    exclusions: str
    grain: str
    date_basis: str
    null_rule: str
    source: str
    version: str
    variant_of: str | None
    variants: list[str]
    dimensions: list[str]
    can_drill: bool
    out_of: str
    matures_after_days: int | None


class Page(BaseModel):
    """
    Which part of an answer this is. `next_offset` is empty on the last part.
    """

    total_rows: int
    offset: int
    next_offset: int | None


class Interval(RootModel[tuple[float, float]]):
    root: Annotated[tuple[float, float], Field(max_length=2, min_length=2)]


class PassportQuestion(BaseModel):
    """
    Everything there is to know of one figure.
    """

    model_config = ConfigDict(
        extra="forbid",
    )
    where: dict[str, list[str]] | None = None
    """
    Dimension to the values to keep, any of them.
    """
    date_from: date | None = None
    """
    First day, in the tenant's time zone.
    """
    date_to: date | None = None
    """
    Last day, included.
    """
    restated: bool = False
    """
    The past with the service units and payer classes of today.
    """
    as_of: str | None = None
    """
    An earlier version: a day (2026-10-05), the name of a version, or close:2026-09.
    """
    metric: str


class Problem(BaseModel):
    """
    What went wrong, as RFC 9457 has it.
    """

    type: str
    """
    A name of the kind that lasts, such as /problems/not-allowed.
    """
    title: str
    """
    The kind in words.
    """
    status: int
    """
    The HTTP status.
    """
    detail: str
    """
    What is wrong with this request and what to do.
    """


class Question(BaseModel):
    """
    Figures by dimension and time.
    """

    model_config = ConfigDict(
        extra="forbid",
    )
    where: dict[str, list[str]] | None = None
    """
    Dimension to the values to keep, any of them.
    """
    date_from: date | None = None
    """
    First day, in the tenant's time zone.
    """
    date_to: date | None = None
    """
    Last day, included.
    """
    restated: bool = False
    """
    The past with the service units and payer classes of today.
    """
    as_of: str | None = None
    """
    An earlier version: a day (2026-10-05), the name of a version, or close:2026-09.
    """
    metrics: list[str]
    by: list[str] | None = None
    """
    Dimensions to break down by.
    """
    grain: Literal["day", "week", "month", "quarter", "year"] | None = None
    """
    One row for each day, week, month, quarter or year.
    """
    order_by: list[str] | None = None
    """
    Columns; `-` descends.
    """
    known_by: date | None = None
    """
    Count only what was known by this day.
    """
    limit: int = 1000
    """
    Most rows of this answer.
    """
    offset: int = 0
    """
    Rows to leave out before the first one.
    """


class RowPart(BaseModel):
    """
    Rows that are the same to a figure: counted (of a rate above and below its line), repeated (counted once with another row),
    above_alone or below_alone (on one side of the line), or left_out. `rows` is empty where it concerns too few people. `unripe` of
    them are so recent that they may still count.
    """

    kind: Literal["counted", "repeated", "above_alone", "below_alone", "left_out"]
    words: str
    rows: int | None
    unripe: int


class RowsAround(BaseModel):
    """
    All rows of a table in the question's period and scope; each is in one part. `metric` is the figure's own, or that of one side of
    a ratio of two lists of rows.
    """

    metric: str
    label: str
    table: str
    rows: int | None
    parts: list[RowPart]


class RowsQuestion(BaseModel):
    """
    The rows behind a figure.
    """

    model_config = ConfigDict(
        extra="forbid",
    )
    where: dict[str, list[str]] | None = None
    """
    Dimension to the values to keep, any of them.
    """
    date_from: date | None = None
    """
    First day, in the tenant's time zone.
    """
    date_to: date | None = None
    """
    Last day, included.
    """
    restated: bool = False
    """
    The past with the service units and payer classes of today.
    """
    as_of: str | None = None
    """
    An earlier version: a day (2026-10-05), the name of a version, or close:2026-09.
    """
    metric: str
    limit: int = 100
    """
    Most rows of this answer.
    """
    offset: int = 0
    """
    Rows to leave out before the first one.
    """


class Stand(BaseModel):
    """
    Which data an answer rests on.
    """

    tenant: str
    version: str
    published_at: AwareDatetime
    data_as_of: date | None


class Status(BaseModel):
    """
    Who asks, with which token, and how the tenant's data stand.
    """

    stand: Stand
    person: str
    role: str
    allowed: list[str]
    token_expires_at: AwareDatetime
    last_run_outcome: str | None
    last_run_at: AwareDatetime | None
    alerts: list[str]


class Answer(BaseModel):
    """
    Figures.
    """

    stand: Stand
    page: Page
    columns: list[Column]
    rows: list[dict[str, str | int | float | bool | None]]


class Members(BaseModel):
    """
    The values of a dimension within the person's scope.
    """

    page: Page
    values: list[Member]


class Metrics(BaseModel):
    """
    Metrics that the person may ask for.
    """

    page: Page
    metrics: list[Metric]


class Passport(BaseModel):
    """
    A figure and what it rests on. `interval` is the 95 % interval of a rate. `rows_around` says which rows count and which are left
    out; it is empty for a figure without rows. `feeds` is empty for versions without lineage.
    """

    stand: Stand
    metric: Metric
    value: str | int | float | bool | None
    numerator: str | int | float | bool | None
    denominator: str | int | float | bool | None
    interval: Interval | None
    rows_around: list[RowsAround]
    feeds: list[FeedState]
    doubts: list[str]


class RowsAnswer(BaseModel):
    """
    Rows behind a figure. `total_value` is the figure that all of them add up to, the numerator of a rate.
    """

    stand: Stand
    page: Page
    columns: list[Column]
    rows: list[dict[str, str | int | float | bool | None]]
    figure_of: str
    total_value: str | int | float | bool | None
    table: str
    value_column: str | None
