"""One home for all files of this folder: their tenants lie side by side in it, so that two runs serve what took a dozen.

A file of tests says what it adds:

    def deliver(folder: Path) -> Configuration              writes the feeds of its tenants and returns their configuration
    def deliver_more(site: Site, tenants: Configuration)    optional: what comes before the second run; may change both

Its tests take `first` (the home after the first run) or `second` (a copy of it after the second one). They only read them.
"""

import json
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from foundation.home import Home
from serving.people.store import AccessStore
from serving.reader import Reader, open_reader
from tests.support import Ran, clinicmart, clinicmart_here

# Tenant to its part of the configuration.
Configuration = dict[str, dict[str, Any]]


def tenant(feeds: list[dict[str, str]], *, zone: str = "America/New_York", **more: str) -> dict[str, Any]:
    """The configuration of a tenant, but for its name."""
    return {"time_zone": zone, "feeds": feeds, **more}


def feed(name: str, kind: str, path: str, **more: str) -> dict[str, str]:
    return {"name": name, "kind": kind, "path": path, **more}


@dataclass(frozen=True)
class Site:
    """A folder with feeds and a configuration, and the home that its runs fill."""

    folder: Path

    @property
    def home(self) -> Path:
        return self.folder / "home"

    @property
    def config(self) -> Path:
        return self.folder / "clinicmart.yaml"

    @property
    def printed(self) -> Ran:
        """What the last run printed."""
        return Ran(**json.loads((self.folder / "printed.json").read_text("utf-8")))

    def configure(self, tenants: Configuration) -> None:
        named = {name: {"name": name, **settings} for name, settings in tenants.items()}
        self.config.write_text(yaml.safe_dump({"tenants": named}, sort_keys=False), encoding="utf-8")

    def run(self) -> Ran:
        """A run as a user starts it, in a separate process."""
        return clinicmart("run", "--config", self.config, "--home", self.home)

    def reader(self, tenant_id: str) -> Reader:
        home = Home.at(self.home)
        return open_reader(home, AccessStore.open(home).principal(tenant_id, f"admin@{tenant_id}"))

    def ask(self, tenant_id: str, *question: str) -> list[dict[str, Any]]:
        """The rows of `clinicmart metrics query`, asked by the tenant's administrator."""
        who = ("--home", self.home, "--tenant", tenant_id, "--as", f"admin@{tenant_id}")
        asked = clinicmart_here("metrics", "query", *question, *who, "--format", "json")
        assert asked.code == 0, asked.err
        told = json.loads(asked.out)
        return told["rows"] if isinstance(told, dict) else told

    def figures(self, tenant_id: str, *metrics: str) -> dict[str, Decimal | None]:
        """Metric to its figure; None where it has none."""
        rows = self.ask(tenant_id, ",".join(metrics))
        row = rows[0] if rows else {}
        return {name: None if row.get(name) is None else Decimal(str(row[name])) for name in metrics}

    def status(self) -> dict[str, Any]:
        """`clinicmart status --json`, asked once: no test changes a home."""
        return _status(self.home)


@cache
def _status(home: Path) -> dict[str, Any]:
    asked = clinicmart_here("status", "--home", home, "--json")
    assert asked.code == 0, asked.err
    status: dict[str, Any] = json.loads(asked.out)
    return status
