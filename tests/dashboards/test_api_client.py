"""The client that is made from the API's document, in front of the API: its answers are those of the reader, its refusals the API's."""

import io
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import polars as pl
import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from clinicmart import api_client
from clinicmart.api_client import ApiProblemError, Client, models
from dashboards.api import who
from serving.model import MetricQuery
from serving.reader import open_reader
from tests.dashboards.test_api import _token, place, site  # noqa: F401
from tests.serving.conftest import Place, _published_once  # noqa: F401


class Through(httpx.BaseTransport):
    """Takes the client's requests to the application without a network."""

    def __init__(self, site: Starlette, address: str) -> None:  # noqa: F811
        self._http = TestClient(site, base_url=address, raise_server_exceptions=False)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        answer = self._http.request(
            request.method, str(request.url), headers=dict(request.headers), content=request.read()
        )
        headers = {name: value for name, value in answer.headers.items() if name != "content-encoding"}
        return httpx.Response(answer.status_code, headers=headers, content=answer.content)


def client_of(site: Starlette, token: str, host: str = "harbor.localhost") -> Client:  # noqa: F811
    address = f"http://{host}"
    return Client(address, token, transport=Through(site, address))


@pytest.fixture
def client(site: Starlette, place: Place) -> Iterator[Client]:  # noqa: F811
    with client_of(site, _token(place)) as client:
        yield client


def test_figures_rows_and_passports_are_those_of_the_reader(client: Client, place: Place) -> None:  # noqa: F811
    with open_reader(place.home, place.access.principal("harbor", "admin@harbor")) as reader:
        question = models.Question(metrics=["visits"], by=["service_unit"], grain="month")
        frame = reader.query(MetricQuery(metrics=["visits"], by=["service_unit"], grain="month"))
        answer = client.query(question)
        assert [row["visits"] for row in answer.rows] == frame["visits"].to_list()
        assert answer.stand.version == reader.version.version
        assert (
            pl.read_csv(io.BytesIO(client.query_as_csv(question).content))["visits"].to_list()
            == frame["visits"].to_list()
        )
        arrow = pl.read_ipc_stream(io.BytesIO(client.query_as_arrow(question).content))
        assert arrow["visits"].to_list() == frame["visits"].to_list()
        assert [item.name for item in client.list_metrics(limit=1000).metrics] == [m.name for m in reader.metrics()]
        units = client.list_dimension_values("service_unit")
        assert {unit.id for unit in units.values} >= set(reader.tree()["service_unit_id"])
        drilled = client.drill(models.RowsQuestion(metric="visits", where={"service_unit": ["east"]}, limit=2))
        assert (len(drilled.rows), drilled.page.next_offset) == (2, 2)
        assert drilled.total_value == reader.drill("visits", {"service_unit": "east"}).total_value
        assert client.drill_as_csv(models.RowsQuestion(metric="visits")).content.startswith(b"visit_id,")
    passport = client.passport(models.PassportQuestion(metric="visits"))
    assert passport.metric.label == client.get_metric("visits").label
    assert client.status().person == "admin@harbor"


def test_a_table_says_that_there_is_more_and_where_it_goes_on(client: Client) -> None:
    question = models.Question(metrics=["visits"], by=["service_unit"], grain="month")
    whole = pl.read_ipc_stream(io.BytesIO(client.query_as_arrow(question).content))
    assert len(whole) > 1
    for ask, read in ((client.query_as_csv, pl.read_csv), (client.query_as_arrow, pl.read_ipc_stream)):
        visits: list[int] = []
        offset: int | None = 0
        while offset is not None:
            part = ask(question.model_copy(update={"limit": 1, "offset": offset}))
            assert part.total_rows == len(whole)
            assert part.next_offset in (offset + 1, None)
            visits += read(io.BytesIO(part.content))["visits"].to_list()
            offset = part.next_offset
        assert visits == whole["visits"].to_list()
    rows = client.drill_as_csv(models.RowsQuestion(metric="visits", limit=1))
    assert (rows.next_offset, rows.total_rows > 1) == (1, True)


def test_a_copy_of_the_folder_works_elsewhere_under_another_name(tmp_path: Path) -> None:
    shutil.copytree(
        Path(api_client.__file__).parent, tmp_path / "figures", ignore=shutil.ignore_patterns("__pycache__")
    )
    program = (
        "import sys, figures; figures.Client('http://harbor.localhost', 'token').close(); "
        "print(figures.__file__, *(name for name in sys.modules if name.partition('.')[0] == 'clinicmart'))"
    )
    ran = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert ran.stdout.split() == [str(tmp_path / "figures" / "__init__.py")]


def test_an_extract_comes_with_its_key(client: Client) -> None:
    extract = client.extract()
    assert extract.content
    assert len(extract.key) == 64
    assert extract.version == client.status().stand.version
    assert extract.key not in repr(extract)


def test_a_refusal_says_what_the_api_says(
    client: Client,
    site: Starlette,  # noqa: F811
    place: Place,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(ApiProblemError, match="no metric") as refused:
        client.get_metric("no_such_metric")
    assert (refused.value.problem.status, refused.value.retry_after_seconds) == (404, None)
    with pytest.raises(ApiProblemError) as refused:
        client.get_metric("../status")
    assert refused.value.problem.status == 404
    with pytest.raises(ApiProblemError) as refused:
        client.query(models.Question(metrics=["visits"], limit=10_001))
    assert refused.value.problem.status == 422
    for token, host, status in (("wrong", "harbor.localhost", 401), (_token(place), "mesa.localhost", 403)):
        with pytest.raises(ApiProblemError) as refused:
            client_of(site, token, host).status()
        assert refused.value.problem.status == status
    monkeypatch.setattr(who, "QUESTIONS", who.RateLimitItemPerMinute(1))
    who._limiter.storage.reset()
    client.status()
    with pytest.raises(ApiProblemError) as refused:
        client.status()
    assert refused.value.problem.status == 429
    assert 0 < (refused.value.retry_after_seconds or 0) <= 60
