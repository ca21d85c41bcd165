# Made by `make generate` from the OpenAPI document of the API. Do not edit.
"""The operations of the API."""

from urllib.parse import quote

from . import models
from .connection import ARROW, CSV, Connection, Extract, Table


class Client(Connection):
    """One method for each operation. Each raises ApiProblemError where the API refuses."""

    def status(self) -> models.Status:
        """Who asks, with which token, and how the tenant's data stand."""
        return self._model(models.Status, "GET", "/status")

    def list_metrics(self, *, module: str | None = None, limit: int = 100, offset: int = 0) -> models.Metrics:
        """The metrics that the person may ask for, by name."""
        return self._model(
            models.Metrics, "GET", "/metrics", parameters={"module": module, "limit": limit, "offset": offset}
        )

    def get_metric(self, name: str) -> models.Metric:
        """One metric in words."""
        return self._model(models.Metric, "GET", f"/metrics/{quote(name, safe='')}")

    def list_dimension_values(self, name: str, *, limit: int = 100, offset: int = 0) -> models.Members:
        """The values of a dimension within the person's scope, by name."""
        return self._model(
            models.Members,
            "GET",
            f"/dimensions/{quote(name, safe='')}/values",
            parameters={"limit": limit, "offset": offset},
        )

    def query(self, question: models.Question) -> models.Answer:
        """Figures by dimension and time. Rates are fractions; a null has no denominator or is hidden as a small cell."""
        return self._model(models.Answer, "POST", "/query", body=question)

    def query_as_csv(self, question: models.Question) -> Table:
        """As `query`; a part of the rows as CSV."""
        return self._table("POST", "/query", form=CSV, body=question)

    def query_as_arrow(self, question: models.Question) -> Table:
        """As `query`; a part of the rows as an Arrow stream."""
        return self._table("POST", "/query", form=ARROW, body=question)

    def drill(self, question: models.RowsQuestion) -> models.RowsAnswer:
        """The rows behind a figure. Their count or sum is the figure; people are shown as the role may see them."""
        return self._model(models.RowsAnswer, "POST", "/drill", body=question)

    def drill_as_csv(self, question: models.RowsQuestion) -> Table:
        """As `drill`; a part of the rows as CSV."""
        return self._table("POST", "/drill", form=CSV, body=question)

    def drill_as_arrow(self, question: models.RowsQuestion) -> Table:
        """As `drill`; a part of the rows as an Arrow stream."""
        return self._table("POST", "/drill", form=ARROW, body=question)

    def passport(self, question: models.PassportQuestion) -> models.Passport:
        """A figure with its definition, parts, interval, feeds and doubts."""
        return self._model(models.Passport, "POST", "/passport", body=question)

    def extract(self) -> Extract:
        """The person's extract: an encrypted DuckDB file. Its key stands in the header `Clinicmart-Extract-Key` and nowhere else."""
        return self._file("/extracts")
