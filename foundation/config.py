"""The configuration file: which tenants there are and where their feeds lie.

One YAML file; secrets only as `${ENV}`; unknown keys are errors. Every error names the file, the line and the key.

    tenants:
      harbor:
        name: Harbor Health
        time_zone: America/New_York
        as_of: 2026-10-31          # optional, for a copy of an earlier state: judge the feeds as of the end of this day
        feeds:
          - {name: pm,     kind: pm_database, profile: clinicmart, url: "${HARBOR_PM_URL}"}
          - {name: ehr,    kind: fhir,        profile: synthea, path: feeds/harbor/fhir}
        issuer: HARBOR             # optional: who issued the numbers of which a feed says nothing; a feed may have its own
        issuers:                   # optional: other names of one issuer
          HARBOR: ["urn:oid:2.16.840.1.113883.19.5", "Harbor Hospital"]
        deidentification: {rule: safe_harbor}   # optional: see `foundation.deidentification`
        keep_versions_days: 31     # optional: how long a published version can be asked after another one replaced it
        runs_at: [05:00]           # optional: when the orchestrator runs this tenant's feeds, in its time zone; [] for never
        system_of_record:          # optional; else the feed that is listed first wins
          encounter: [pm, ehr]
    warehouse: {postgres: "${CLINICMART_POSTGRES_URL}"}   # optional: for --target postgres, see `foundation.warehouse_server`
    control_database: {postgres: "${CLINICMART_CONTROL_URL}"}   # optional: see `foundation.control_database`
    keep_runs_days: 90                # optional: how long the orchestrator keeps its records of a run, and the run's log
    mail: {host: smtp.example.org, ...}   # optional: the server that sends mail, see `foundation.mail_server`
    lineage: {file: lineage.ndjson}   # optional: OpenLineage events of every run, see `foundation.lineage_target`
"""

import hashlib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import yaml

from foundation.control_database import SECTION, ControlDatabase, parse_control_database
from foundation.deidentification import STRICT, Deidentification, parse_deidentification
from foundation.errors import ConfigurationError
from foundation.feed_remote import FhirServer, Listener, parse_listener, parse_server
from foundation.lineage_target import LineageTarget, parse_lineage
from foundation.mail_server import MailServer, parse_mail
from foundation.warehouse_server import WarehouseServer, parse_warehouse
from foundation.yaml_nodes import NodeReader, compose_file

KINDS = ("pm_database", "fhir", "hl7v2", "x12", "reference_file")
# Kinds that say nothing without a profile: what each calls its feed.
_NEEDS_PROFILE = {"pm_database": "a PM database", "reference_file": "a reference file"}
RUNS_AT = ("05:00",)
KEEP_RUNS_DAYS = 90
_TIME_OF_DAY = re.compile(r"([01]\d|2[0-3]):[0-5]\d")
TENANT_ID = re.compile(r"[a-z][a-z0-9-]{0,30}")
_ISSUER = re.compile(r"[^\s^&|][^\^&|]{0,119}")
FEED_NAME = re.compile(r"[a-z][a-z0-9_]{0,30}")


@dataclass(frozen=True, kw_only=True)
class Feed:
    """One feed of one tenant.

    Exactly one says where it lies: `path` (a file, a folder or a glob pattern, absolute), `url` (SQLAlchemy) of a PM
    database, kept out of `repr` because it may hold a password, `server` that is asked (FHIR), or `listen`, a port for
    senders (HL7 v2). `profile` is a shipped profile's name or the absolute path of a YAML file. `time_zone` is the
    tenant's: times without an offset are read in it. `issuer` says who issued the numbers (of patients, visits, appointments,
    clinicians) of which the feed says nothing.
    """

    tenant_id: str
    name: str
    kind: str
    profile: str | None = None
    path: str | None = None
    url: str | None = field(default=None, repr=False)
    server: FhirServer | None = None
    listen: Listener | None = None
    time_zone: str = "UTC"
    as_of: date | None = None
    issuer: str | None = None

    def judged_at(self, read_at: datetime) -> datetime:
        """The moment (UTC) at which the rows of the feed are judged: the time of the read, or the end of the day `as_of`."""
        if self.as_of is None:
            return read_at
        return datetime.combine(self.as_of + timedelta(days=1), time(), ZoneInfo(self.time_zone)).astimezone(UTC)


@dataclass(frozen=True, kw_only=True)
class Tenant:
    """One tenant and its feeds. `system_of_record` maps an entity to feed names, the record first. `as_of` is set for a copy of
    an earlier state (a sample, a trial with last year's files): what came is judged as of the end of that day, not as of now.
    `runs_at` holds the times of day (HH:MM, in order) at which the orchestrator reads the tenant's feeds, in its time zone.
    A published version stays for `keep_versions_days` after another one replaced it; one that a close names stays for ever.
    `issuer` is the issuer of feeds that name none; `issuers` maps an issuer to its other names."""

    tenant_id: str
    name: str
    time_zone: str
    feeds: tuple[Feed, ...]
    system_of_record: Mapping[str, tuple[str, ...]]
    as_of: date | None = None
    keep_versions_days: int = 31
    runs_at: tuple[str, ...] = RUNS_AT
    issuer: str | None = None
    issuers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    deidentification: Deidentification = STRICT

    def digest(self, folder: Path) -> str:
        """A hash of the settings that published versions depend on. Comments, the order of keys, times of runs and how long versions are
        kept do not change it, nor does a move of the configuration's `folder` with its feeds. It holds no secret."""
        settings = replace(
            self,
            keep_versions_days=0,
            runs_at=(),
            system_of_record=dict(sorted(self.system_of_record.items())),
            issuers=dict(sorted(self.issuers.items())),
        )
        return hashlib.sha256(repr(settings).replace(f"{folder}{os.sep}", "").encode()).hexdigest()

    def precedence(self, entity: str) -> dict[str, int]:
        """Feed name to rank for one entity, 1 the system of record; feeds not named follow in listed order."""
        named = self.system_of_record.get(entity, ())
        others = [feed.name for feed in self.feeds if feed.name not in named]
        return {name: rank for rank, name in enumerate((*named, *others), start=1)}


@dataclass(frozen=True, kw_only=True)
class Config:
    """A checked configuration file."""

    file: Path
    tenants: tuple[Tenant, ...]
    lineage: LineageTarget | None = None
    warehouse: WarehouseServer = field(default_factory=WarehouseServer)
    keep_runs_days: int = KEEP_RUNS_DAYS
    mail: MailServer | None = None
    control_database: ControlDatabase | None = None

    def tenant(self, tenant_id: str) -> Tenant:
        """One tenant. Raises ConfigurationError naming those that exist."""
        for tenant in self.tenants:
            if tenant.tenant_id == tenant_id:
                return tenant
        tenant_ids = ", ".join(item.tenant_id for item in self.tenants)
        raise ConfigurationError(f"{self.file}: no tenant {tenant_id!r}; the file has {tenant_ids}")

    def only(self, tenant_id: str | None) -> "Config":
        """The same file reduced to one tenant; all of it for None."""
        return self if tenant_id is None else replace(self, tenants=(self.tenant(tenant_id),))


# Where a feed of each kind may lie: exactly one of these keys.
_PLACES = {
    "pm_database": ("url",),
    "fhir": ("path", "server"),
    "hl7v2": ("path", "listen"),
    "x12": ("path",),
    "reference_file": ("path",),
}
_ALL_PLACES = ("path", "url", "server", "listen")


def _feed(reader: NodeReader, node: yaml.Node, key: str, tenant_id: str, time_zone: str, as_of: date | None) -> Feed:
    nodes = reader.mapping(node, key, ("name", "kind", "profile", "issuer", *_ALL_PLACES))
    name = reader.matching(
        reader.needed(nodes, node, key, "name"), f"{key}.name", FEED_NAME, "a feed name (a-z, 0-9, _; a letter first)"
    )
    kind_node = reader.needed(nodes, node, key, "kind")
    kind = reader.text(kind_node, f"{key}.kind")
    if kind not in KINDS:
        raise reader.fail(kind_node, f"{key}.kind", f"{kind!r} is not one of {', '.join(KINDS)}")
    profile = reader.text(nodes["profile"], f"{key}.profile") if "profile" in nodes else None
    if profile is not None and profile.endswith((".yaml", ".yml")):
        profile = str(reader.file.parent / Path(profile).expanduser())
    if kind in _NEEDS_PROFILE and profile is None:
        raise reader.fail(node, f"{key}.profile", f"is missing: {_NEEDS_PROFILE[kind]} needs one")
    place = _place(reader, node, key, kind, nodes)
    node_of_place, key_of_place = nodes[place], f"{key}.{place}"
    return Feed(
        tenant_id=tenant_id,
        name=name,
        kind=kind,
        profile=profile,
        path=str(reader.file.parent / Path(reader.text(node_of_place, key_of_place)).expanduser())
        if place == "path"
        else None,
        url=reader.text(node_of_place, key_of_place) if place == "url" else None,
        server=parse_server(reader, node_of_place, key_of_place) if place == "server" else None,
        listen=parse_listener(reader, node_of_place, key_of_place) if place == "listen" else None,
        time_zone=time_zone,
        as_of=as_of,
        issuer=_issuer(reader, nodes, key),
    )


def _issuer(reader: NodeReader, nodes: Mapping[str, yaml.Node], key: str) -> str | None:
    """The issuer that a tenant or a feed names."""
    if "issuer" not in nodes:
        return None
    return reader.matching(nodes["issuer"], f"{key}.issuer", _ISSUER, "the name of an issuer, without ^, & and |")


def _issuers(reader: NodeReader, nodes: Mapping[str, yaml.Node], key: str) -> dict[str, tuple[str, ...]]:
    """Issuers and their other names. A name may belong to one issuer only."""
    named: dict[str, tuple[str, ...]] = {}
    owner: dict[str, str] = {}
    for issuer, node in (reader.mapping(nodes["issuers"], f"{key}.issuers") if "issuers" in nodes else {}).items():
        place = f"{key}.issuers.{issuer}"
        if not _ISSUER.fullmatch(issuer):
            raise reader.fail(node, place, "must be the name of an issuer, without ^, & and |")
        named[issuer] = tuple(
            reader.matching(item, place, _ISSUER, "a name of an issuer, without ^, & and |")
            for item in reader.items(node, place)
        )
        for name in (issuer, *named[issuer]):
            if owner.setdefault(name.casefold(), issuer) != issuer:
                raise reader.fail(node, place, f"{name!r} is already a name of {owner[name.casefold()]}")
    return named


def _place(reader: NodeReader, node: yaml.Node, key: str, kind: str, nodes: dict[str, yaml.Node]) -> str:
    """The one key that says where the feed lies."""
    allowed = _PLACES[kind]
    for other in _ALL_PLACES:
        if other in nodes and other not in allowed:
            raise reader.fail(nodes[other], f"{key}.{other}", f"a {kind} feed has {' or '.join(allowed)}, not {other}")
    places = [name for name in allowed if name in nodes]
    if not places:
        raise reader.fail(node, f"{key}.{allowed[0]}", "is missing")
    if len(places) > 1:
        raise reader.fail(nodes[places[1]], f"{key}.{places[1]}", f"a feed has only one of {places[0]} and {places[1]}")
    return places[0]


_LISTS = ("feeds", "system_of_record", "issuers", "deidentification")
_KEPT_AT_MOST_DAYS = 3660


def _tenant(reader: NodeReader, tenant_id: str, node: yaml.Node, entities: frozenset[str]) -> Tenant:
    key = f"tenants.{tenant_id}"
    nodes = reader.mapping(
        node, key, ("name", "time_zone", "as_of", "keep_versions_days", "runs_at", "issuer", *_LISTS)
    )
    name = reader.text(reader.needed(nodes, node, key, "name"), f"{key}.name")
    zone_node = reader.needed(nodes, node, key, "time_zone")
    zone = reader.text(zone_node, f"{key}.time_zone")
    try:
        ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError):
        raise reader.fail(zone_node, f"{key}.time_zone", f"{zone!r} is not an IANA time zone") from None
    as_of = _day(reader, nodes["as_of"], f"{key}.as_of") if "as_of" in nodes else None
    kept = nodes.get("keep_versions_days")
    days = 31 if kept is None else reader.number(kept, f"{key}.keep_versions_days", 0, _KEPT_AT_MOST_DAYS)
    feeds: list[Feed] = []
    feeds_node = reader.needed(nodes, node, key, "feeds")
    for index, item in enumerate(reader.items(feeds_node, f"{key}.feeds")):
        feed = _feed(reader, item, f"{key}.feeds[{index}]", tenant_id, zone, as_of)
        if any(other.name == feed.name for other in feeds):
            raise reader.fail(item, f"{key}.feeds[{index}].name", f"{feed.name!r} is used twice")
        feeds.append(feed)
    if not feeds:
        raise reader.fail(feeds_node, f"{key}.feeds", "has no feed")
    record: dict[str, tuple[str, ...]] = {}
    if "system_of_record" in nodes:
        place = f"{key}.system_of_record"
        for entity, value in reader.mapping(nodes["system_of_record"], place).items():
            if entities and entity not in entities:
                raise reader.fail(value, f"{place}.{entity}", "there is no entity with this name")
            names = reader.texts(value, f"{place}.{entity}")
            for feed_name in names:
                if all(feed.name != feed_name for feed in feeds):
                    raise reader.fail(value, f"{place}.{entity}", f"the tenant has no feed {feed_name!r}")
            record[entity] = names
    return Tenant(
        tenant_id=tenant_id,
        name=name,
        time_zone=zone,
        feeds=tuple(feeds),
        system_of_record=record,
        as_of=as_of,
        keep_versions_days=days,
        runs_at=_times_of_day(reader, nodes["runs_at"], f"{key}.runs_at") if "runs_at" in nodes else RUNS_AT,
        issuer=_issuer(reader, nodes, key),
        issuers=_issuers(reader, nodes, key),
        deidentification=parse_deidentification(reader, nodes, key),
    )


def _day(reader: NodeReader, node: yaml.Node, key: str) -> date:
    text = reader.text(node, key)
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise reader.fail(node, key, f"{text!r} is not a day, such as 2026-10-31") from None


def _times_of_day(reader: NodeReader, node: yaml.Node, key: str) -> tuple[str, ...]:
    what = "a time of day from 00:00 to 23:59, such as 05:00"
    return tuple(sorted({reader.matching(item, key, _TIME_OF_DAY, what) for item in reader.items(node, key)}))


def load_config(file: str | Path, *, entities: frozenset[str] = frozenset()) -> Config:
    """Reads and checks a configuration file.

    `entities` are the entity names that `system_of_record` may use; empty checks none.
    Raises ConfigurationError with file, line and key; never shows the value of a secret.
    """
    path = Path(file).expanduser().resolve()
    root = compose_file(path)
    reader = NodeReader(path)
    nodes = reader.mapping(root, "", ("tenants", "lineage", "warehouse", SECTION, "keep_runs_days", "mail"))
    tenants_node = reader.needed(nodes, root, "", "tenants")
    tenants = []
    for tenant_id, node in reader.mapping(tenants_node, "tenants").items():
        if not TENANT_ID.fullmatch(tenant_id):
            raise reader.fail(
                node,
                f"tenants.{tenant_id}",
                "a tenant id is a subdomain: it begins with a letter and holds a-z, 0-9 and -",
            )
        tenants.append(_tenant(reader, tenant_id, node, entities))
    if not tenants:
        raise reader.fail(tenants_node, "tenants", "has no tenant")
    target = parse_lineage(reader, nodes["lineage"], "lineage") if "lineage" in nodes else None
    server = parse_warehouse(reader, nodes["warehouse"], "warehouse") if "warehouse" in nodes else WarehouseServer()
    kept = nodes.get("keep_runs_days")
    days = KEEP_RUNS_DAYS if kept is None else reader.number(kept, "keep_runs_days", 1, _KEPT_AT_MOST_DAYS)
    return Config(
        file=path,
        tenants=tuple(tenants),
        lineage=target,
        warehouse=server,
        keep_runs_days=days,
        mail=parse_mail(reader, nodes["mail"], "mail") if "mail" in nodes else None,
        control_database=parse_control_database(reader, nodes[SECTION], SECTION) if SECTION in nodes else None,
    )
