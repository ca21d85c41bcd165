"""The tools that an agent may call. Each answer with figures says which data and which definition it rests on.

Figures only: no tool gives rows, and no dimension names a patient.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict
from datetime import date
from decimal import Decimal
from typing import Annotated, Any

from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.server.transport_security import TransportSecuritySettings
from mcp_types import ToolAnnotations
from pydantic import BaseModel, ConfigDict, Field
from starlette.types import ASGIApp

from dashboards.api import AGENTS_PATH, LARGEST_BODY, models, operations
from dashboards.api.answers import cell, columns_of, rows_of, stand_of
from foundation.errors import ClinicmartError
from serving.reader import Reader

# Opens what the agent's person may see, as of an earlier version where one is named.
Opens = Callable[[str | None], AbstractContextManager[Reader]]
INSTRUCTIONS = (
    "Figures of one clinic group, as one person may see them. Find a metric with list_metrics, read its definition with "
    "describe_metric, then ask with query. explain says what one figure rests on, and compare puts two readings side by side. Rates are "
    "fractions, amounts are decimals in US dollars, a null has no denominator or is hidden because few people are behind it. "
    "Repeat with each figure its period, its definition and the day to which the data reach. There are no rows of patients here."
)
READS = ToolAnnotations(read_only_hint=True, idempotent_hint=True, open_world_hint=False)
MOST_ROWS = 200
Names = Annotated[list[models.Name], Field(min_length=1, max_length=models.MOST_NAMES)]
Words = Annotated[str, Field(max_length=100, description="Text that a name or description holds; empty for all.")]


class Meaning(BaseModel):
    """What a figure is, in short; describe_metric says all."""

    name: str
    label: str
    description: str
    unit: str
    direction: str
    version: str


class Figures(BaseModel):
    """Figures, with what they mean and which data they rest on."""

    stand: models.Stand
    meanings: list[Meaning]
    columns: list[models.Column]
    rows: list[dict[str, models.Cell]]
    page: models.Page


class Found(BaseModel):
    """Metrics that fit a search."""

    page: models.Page
    metrics: list[Meaning]


class Side(BaseModel):
    """One of two readings of a figure."""

    model_config = ConfigDict(extra="forbid")

    metric: models.Name
    where: models.Where = Field(default_factory=dict)
    date_from: date | None = None
    date_to: date | None = None
    as_of: models.AsOf = None

    def question(self) -> models.PassportQuestion:
        """The same as a question for a passport."""
        return models.PassportQuestion.model_validate(self.model_dump())


class Comparison(BaseModel):
    """Two readings and their difference, second less first; empty where one has no value or their units differ."""

    first: models.Passport
    second: models.Passport
    difference: models.Cell


@contextmanager
def _plainly() -> Iterator[None]:
    """Turns our errors into sentences for the agent; any other failure tells it nothing."""
    try:
        yield
    except ClinicmartError as error:
        raise ToolError(str(error)) from None


def _meanings(reader: Reader, names: list[str]) -> list[Meaning]:
    return [Meaning.model_validate(asdict(operations.known_metric(reader, name)), extra="ignore") for name in names]


def create_server(opens: Opens) -> MCPServer[Any]:
    """The tools on what `opens` gives. Every call is a row of the audit, as readers write it."""
    server: MCPServer[Any] = MCPServer("clinicmart", title="Clinicmart", instructions=INSTRUCTIONS, log_level="WARNING")

    @server.tool(annotations=READS)
    def list_metrics(
        search: Words = "",
        module: Words = "",
        limit: Annotated[int, Field(ge=1, le=MOST_ROWS)] = 50,
        offset: models.Offset = 0,
    ) -> Found:
        """Metrics by name, with their meaning. Search by a word such as denial, or by module such as revenue_cycle."""
        with _plainly(), opens(None) as reader:
            listed = operations.metrics(reader, module=module, search=search, limit=limit, offset=offset)
        meanings = [Meaning.model_validate(item.model_dump(), extra="ignore") for item in listed.metrics]
        return Found(page=listed.page, metrics=meanings)

    @server.tool(annotations=READS)
    def describe_metric(name: models.Name) -> models.Metric:
        """The whole definition of a metric: numerator, denominator, exclusions, day that counts, variants, dimensions."""
        with _plainly(), opens(None) as reader:
            return operations.metric(reader, name)

    @server.tool(annotations=READS)
    def list_dimension_values(
        dimension: models.Name,
        search: Words = "",
        limit: Annotated[int, Field(ge=1, le=MOST_ROWS)] = 50,
        offset: models.Offset = 0,
    ) -> models.Members:
        """Ids and names that a filter on a dimension takes, such as those of service_unit, provider, payer or visit_type."""
        with _plainly(), opens(None) as reader:
            return operations.members(reader, dimension, search=search, limit=limit, offset=offset)

    @server.tool(annotations=READS)
    def query(
        metrics: Names,
        by: list[models.Name] | None = None,
        grain: models.Grain | None = None,
        where: models.Where | None = None,
        date_from: date | None = None,
        date_to: date | None = None,
        order_by: list[models.Name] | None = None,
        as_of: models.AsOf = None,
        limit: Annotated[int, Field(ge=1, le=MOST_ROWS)] = 100,
        offset: models.Offset = 0,
    ) -> Figures:
        """Figures by dimension and time. `where` maps a dimension to ids. Days are included at both ends."""
        question = models.Question(
            metrics=metrics,
            by=by or [],
            grain=grain,
            where=where or {},
            date_from=date_from,
            date_to=date_to,
            order_by=order_by or [],
            as_of=as_of,
            limit=limit,
            offset=offset,
        )
        with _plainly(), opens(as_of) as reader:
            frame, page = operations.figures(reader, question)
            return Figures(
                stand=stand_of(reader),
                meanings=_meanings(reader, metrics),
                columns=columns_of(frame),
                rows=rows_of(frame),
                page=page,
            )

    @server.tool(annotations=READS)
    def explain(reading: Side) -> models.Passport:
        """The passport of one figure: definition, value, parts, 95 % interval of a rate, feeds and doubts."""
        with _plainly(), opens(reading.as_of) as reader:
            return operations.passport(reader, reading.question())

    @server.tool(annotations=READS)
    def compare(first: Side, second: Side) -> Comparison:
        """Two readings of figures side by side: other definitions, places, periods or versions, and the difference."""
        with _plainly():
            with opens(first.as_of) as reader:
                before = operations.passport(reader, first.question())
            with opens(second.as_of) as reader:
                after = operations.passport(reader, second.question())
        return Comparison(first=before, second=after, difference=_difference(before, after))

    return server


def create_application(opens: Opens) -> tuple[ASGIApp, StreamableHTTPSessionManager]:
    """The tools over HTTP at AGENTS_PATH, each request answered by itself. The manager must run while it serves."""
    server = create_server(opens)
    application = server.streamable_http_app(
        streamable_http_path=AGENTS_PATH,
        json_response=True,
        stateless_http=True,
        max_request_body_size=LARGEST_BODY,
        # Hosts are checked with the token, against the domain that is served.
        transport_security=TransportSecuritySettings(enable_dns_rebinding_protection=False),
    )
    return application, server.session_manager


def _difference(before: models.Passport, after: models.Passport) -> models.Cell:
    if before.metric.unit != after.metric.unit or before.value is None or after.value is None:
        return None
    # Amounts are decimals as text; Decimal of a fraction's text keeps what was shown.
    gap = Decimal(str(after.value)) - Decimal(str(before.value))
    return cell(gap) if isinstance(after.value, str) else float(gap)
