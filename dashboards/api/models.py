"""What the API takes and gives. Money is a decimal as text, days are ISO 8601, times are UTC with a `Z`, ids are text."""

from datetime import date, datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from serving.model import MetricQuery

Name = Annotated[str, StringConstraints(min_length=1, max_length=100)]
Value = Annotated[str, StringConstraints(min_length=1, max_length=200)]
Grain = Literal["day", "week", "month", "quarter", "year"]
MOST_NAMES, MOST_VALUES, MOST_ROWS = 20, 500, 10_000
Where = Annotated[
    dict[Name, Annotated[list[Value], Field(min_length=1, max_length=MOST_VALUES)]],
    Field(max_length=MOST_NAMES, description="Dimension to the values to keep, any of them."),
]
Limit = Annotated[int, Field(ge=1, le=MOST_ROWS, description="Most rows of this answer.")]
Offset = Annotated[int, Field(ge=0, le=10_000_000, description="Rows to leave out before the first one.")]
AsOf = Annotated[
    Name | None,
    Field(description="An earlier version: a day (2026-10-05), the name of a version, or close:2026-09."),
]
# What a cell of an answer may be.
Cell = str | int | float | bool | None


class Period(BaseModel):
    """What every question may say: a period, filters, and the version."""

    model_config = ConfigDict(extra="forbid")

    where: Where = Field(default_factory=dict)
    date_from: date | None = Field(default=None, description="First day, in the tenant's time zone.")
    date_to: date | None = Field(default=None, description="Last day, included.")
    restated: bool = Field(default=False, description="The past with the service units and payer classes of today.")
    as_of: AsOf = None


class Question(Period):
    """Figures by dimension and time."""

    metrics: list[Name] = Field(min_length=1, max_length=MOST_NAMES)
    by: list[Name] = Field(default_factory=list, max_length=MOST_NAMES, description="Dimensions to break down by.")
    grain: Grain | None = Field(default=None, description="One row for each day, week, month, quarter or year.")
    order_by: list[Name] = Field(default_factory=list, max_length=MOST_NAMES, description="Columns; `-` descends.")
    known_by: date | None = Field(default=None, description="Count only what was known by this day.")
    limit: Limit = 1_000
    offset: Offset = 0

    def query(self) -> MetricQuery:
        """The question as readers take it."""
        return MetricQuery(
            metrics=self.metrics,
            by=self.by,
            grain=self.grain,
            where=self.where,
            date_from=self.date_from,
            date_to=self.date_to,
            order_by=self.order_by,
            restated=self.restated,
            known_by=self.known_by,
        )


class RowsQuestion(Period):
    """The rows behind a figure."""

    metric: Name
    limit: Limit = 100
    offset: Offset = 0


class PassportQuestion(Period):
    """Everything there is to know of one figure."""

    metric: Name


class Column(BaseModel):
    """A column of an answer. `kind` is text, whole, decimal, fraction, day, time or flag."""

    name: str
    kind: Literal["text", "whole", "decimal", "fraction", "day", "time", "flag"]


class Page(BaseModel):
    """Which part of an answer this is. `next_offset` is empty on the last part."""

    total_rows: int
    offset: int
    next_offset: int | None


class Stand(BaseModel):
    """Which data an answer rests on."""

    tenant: str
    version: str
    published_at: datetime
    data_as_of: date | None


class Answer(BaseModel):
    """Figures."""

    stand: Stand
    page: Page
    columns: list[Column]
    rows: list[dict[str, Cell]]


class RowsAnswer(Answer):
    """Rows behind a figure. `total_value` is the figure that all of them add up to, the numerator of a rate."""

    figure_of: str
    total_value: Cell
    table: str
    value_column: str | None


class Metric(BaseModel):
    """One metric in words."""

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


class Metrics(BaseModel):
    """Metrics that the person may ask for."""

    page: Page
    metrics: list[Metric]


class Member(BaseModel):
    """A value of a dimension. `parent_id` is the unit above, of service units alone."""

    id: str | None
    name: str | None
    parent_id: str | None = None


class Members(BaseModel):
    """The values of a dimension within the person's scope."""

    page: Page
    values: list[Member]


class FeedState(BaseModel):
    """A feed that a figure rests on. `message` is empty where nothing is amiss."""

    feed: str
    kind: str
    entities: list[str]
    last_read_at: datetime | None
    newest_day: date | None
    rows_landed: int
    files_refused: int
    message: str


class RowPart(BaseModel):
    """Rows that are the same to a figure: counted (of a rate above and below its line), repeated (counted once with another row),
    above_alone or below_alone (on one side of the line), or left_out. `rows` is empty where it concerns too few people. `unripe` of
    them are so recent that they may still count."""

    kind: Literal["counted", "repeated", "above_alone", "below_alone", "left_out"]
    words: str
    rows: int | None
    unripe: int


class RowsAround(BaseModel):
    """All rows of a table in the question's period and scope; each is in one part. `metric` is the figure's own, or that of one side of
    a ratio of two lists of rows."""

    metric: str
    label: str
    table: str
    rows: int | None
    parts: list[RowPart]


class Passport(BaseModel):
    """A figure and what it rests on. `interval` is the 95 % interval of a rate. `rows_around` says which rows count and which are left
    out; it is empty for a figure without rows. `feeds` is empty for versions without lineage."""

    stand: Stand
    metric: Metric
    value: Cell
    numerator: Cell
    denominator: Cell
    interval: tuple[float, float] | None
    rows_around: list[RowsAround]
    feeds: list[FeedState]
    doubts: list[str]


class Status(BaseModel):
    """Who asks, with which token, and how the tenant's data stand."""

    stand: Stand
    person: str
    role: str
    allowed: list[str]
    token_expires_at: datetime
    last_run_outcome: str | None
    last_run_at: datetime | None
    alerts: list[str]
