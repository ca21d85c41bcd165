"""What a figure rests on, read from the published version, for everybody who sees the figure and nobody else."""

import json
from collections.abc import Callable

import pytest

from foundation.errors import ConfigurationError
from serving.lineage.columns import Field, Lineage, metric_fields
from serving.reader import Reader
from serving.versions.store import files_of


def _written(reader: Reader, home: object, metric: str, entity: str) -> None:
    """Lays a lineage beside the version: each column of the metric comes from a field of an entity."""
    files = files_of(home, reader.tenant.tenant_id, reader.version.version)  # type: ignore[arg-type]
    fields = metric_fields(json.loads(files.semantic_manifest.read_bytes()), metric)
    columns: dict[str, dict[str, tuple[Field, ...]]] = {}
    for at in fields:
        columns.setdefault(at.relation, {})[at.column] = (Field(f"raw.{entity}", "amount"), Field("raw.x", "tenant_id"))
    lineage = Lineage(columns=columns, inputs=dict.fromkeys(columns, (f"raw.{entity}",)))
    files.lineage.write_bytes(lineage.to_json())


def test_a_version_without_lineage_says_so(reader: Callable[[str], Reader]) -> None:
    admin = reader("admin@harbor")
    assert admin.lineage(admin.metrics()[0].name) is None


def test_a_metric_that_a_person_may_not_ask_for_has_no_lineage_either(reader: Callable[[str], Reader]) -> None:
    with pytest.raises(ConfigurationError, match="no metric is named"):
        reader("admin@harbor").lineage("no_such_metric")
    everything = {item.name for item in reader("admin@harbor").metrics()}
    hidden = sorted(everything - {item.name for item in reader("doctor@harbor").metrics()})
    assert hidden
    with pytest.raises(ConfigurationError, match="no metric is named"):
        reader("doctor@harbor").lineage(hidden[0])


@pytest.mark.parametrize("user", ["admin@mesa", "ceo@mesa", "doctor@mesa"])
def test_feeds_of_the_tenant_are_told_with_how_they_stand(user: str, place, reader: Callable[[str], Reader]) -> None:  # type: ignore[no-untyped-def]
    person = reader(user)
    metric = person.metrics()[0].name
    entity = _entity(reader("admin@mesa"))
    _written(person, place.home, metric, entity)
    found = person.lineage(metric)
    assert found is not None
    (feed,) = found.feeds
    assert (feed.feed, feed.entities, feed.alert) == ("pm", (entity,), "stopped")
    assert feed.message
    assert feed.last_read_at is not None
    assert feed.rows_landed > 0
    assert found.without_feed == ()
    assert {source.feeds for column in found.columns for source in column.fields} == {("pm",)}
    # Bookkeeping is no field of a figure.
    assert {source.field for column in found.columns for source in column.fields} == {"amount"}


def test_what_no_feed_brings_is_named(place, reader: Callable[[str], Reader]) -> None:  # type: ignore[no-untyped-def]
    admin = reader("admin@harbor")
    metric = admin.metrics()[0].name
    _written(admin, place.home, metric, "contract_rate")
    found = admin.lineage(metric)
    assert found is not None
    assert found.feeds == ()
    assert found.without_feed == ("contract_rate",)


def _entity(admin: Reader) -> str:
    batches = admin.health().batches
    return str(batches.filter(batches["rows_landed"] > 0)["entity"][0])
