"""How long a question takes on the published file of the largest tenant, asked as pages ask it.

    python benchmarks/questions.py --home HOME [--rounds N]

Every metric that the tenant's administrator sees: by month over all time, by the children of the top unit in the last year, and
by payer class there, where it has one. The first round compiles and opens; what is reported is the time of the rounds after it:
median, 95th percentile and slowest in milliseconds. Budget: 95th percentile 50 ms on an idle machine.
"""

import argparse
import time
from datetime import timedelta
from pathlib import Path

import polars as pl

from foundation.home import Home
from serving.model import MetricQuery
from serving.people.principal import Principal, Role
from serving.people.shown import gathering
from serving.people.store import AccessStore
from serving.reader import Reader, open_reader
from serving.versions.store import current_version

YEAR = timedelta(days=365)


def largest(home: Home) -> str:
    """The tenant with the most published rows."""
    rows = {}
    for tenant, _ in AccessStore.open(home).tenants():
        version = current_version(home, tenant)
        if version is not None:
            rows[tenant] = version.rows
    if not rows:
        raise SystemExit(f"{home.path}: nothing is published; start with clinicmart run")
    tenant = max(rows, key=lambda name: rows[name])
    print(f"{tenant}: {rows[tenant]:,} rows published")
    return tenant


def questions(reader: Reader) -> list[MetricQuery]:
    """What is asked, three ways of each metric."""
    until = reader.data_as_of
    since = until - YEAR if until else None
    asked = []
    for metric in reader.metrics():
        asked.append(MetricQuery(metrics=[metric.name], grain="month"))
        for dimension in ("service_unit_children", "payer_class"):
            if dimension in metric.dimensions:
                asked.append(MetricQuery(metrics=[metric.name], by=[dimension], date_from=since, date_to=until))
    return asked


def main() -> None:
    """Asks and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    home = Home.at(options.home)
    tenant = largest(home)
    principal = Principal(
        tenant_id=tenant, email=f"admin@{tenant}", display_name="Administrator", role=Role.ORGANIZATION_ADMIN
    )
    # As on a page, whose figures are one row of the audit.
    with open_reader(home, principal) as reader, gathering():
        asked = questions(reader)
        took = []
        for number in range(options.rounds + 1):
            for query in asked:
                started = time.perf_counter()
                reader.query(query)
                took.append(
                    (number, query.metrics[0], query.by[0] if query.by else "month", time.perf_counter() - started)
                )
    frame = pl.DataFrame(took, schema=["round", "metric", "by", "seconds"], orient="row")
    first, again = frame.filter(pl.col("round") == 0), frame.filter(pl.col("round") > 0)
    milliseconds = again["seconds"] * 1000
    print(f"{len(asked)} questions; first round {first['seconds'].sum():.1f} s, compiling included")
    print(
        f"after it: median {milliseconds.median():.1f} ms, 95th percentile "
        f"{milliseconds.quantile(0.95, 'linear'):.1f} ms, slowest {milliseconds.max():.1f} ms"
    )
    print(
        again.group_by("metric", "by").agg(pl.col("seconds").median().mul(1000).round(1).alias("ms")).top_k(5, by="ms")
    )


if __name__ == "__main__":
    main()
