"""The profile of a PM database: one SELECT an entity, in that system's own SQL, its columns named as the contract's.

    kind: pm_database
    time_zone: tenant            # of times without an offset: `tenant`, or an IANA name
    timeout_seconds: 600         # how long the database may take for an answer
    overlap_minutes: 60          # of all entities; each may have its own
    reconcile_days: 7
    maximum_deleted_percent: 20
    keys: {case: insensitive, padding: trimmed}   # how the database compares keys; without it a key is its exact text
    entities:
      appointment:
        reconcile_days: 1
        changes: none            # or source_updated_at, which is the default
        sql: |
          select a.id as appointment_id, a.id as source_record_id, a.changed as source_updated_at, ... from appts a

Every SELECT gives the entity's key columns, `source_record_id` and `source_updated_at`. It has no ORDER BY: the reader
wraps it.

The numbers may be left out (DEFAULTS). `overlap_minutes`: rows dated so long before the newest seen are read again, because
what a slow transaction commits appears late. `reconcile_days`: after so many days the entity is read whole and compared;
0 does so only when asked. `maximum_deleted_percent`: a whole read that lacks more of the known records is not believed.
`changes: none`: `source_updated_at` does not show every change, so the entity is read whole and compared each time.
`optional_table: NAME`: not every database has this table; where it is missing, the entity is not read, without a fault.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from zoneinfo import ZoneInfo

import yaml

from data_contracts import Contract, load_contracts
from foundation.yaml_nodes import NodeReader

# Name -> (default, lowest, highest).
DEFAULTS: Mapping[str, tuple[int, int, int]] = MappingProxyType(
    {
        "timeout_seconds": (600, 1, 86_400),
        "overlap_minutes": (60, 0, 525_600),
        "reconcile_days": (7, 0, 3_650),
        "maximum_deleted_percent": (20, 0, 100),
    }
)
_OF_ENTITIES = ("overlap_minutes", "reconcile_days", "maximum_deleted_percent")
_CHANGES = ("source_updated_at", "none")
_KEY_RULES: Mapping[str, tuple[str, str]] = MappingProxyType(
    {"case": ("sensitive", "insensitive"), "padding": ("kept", "trimmed")}
)
LINEAGE = ("source_record_id", "source_updated_at")
TENANT_ZONE = "tenant"
_COMMENT = re.compile(r"--[^\n]*|/\*.*?\*/", re.DOTALL)
_END = re.compile(r";\s*((--[^\n]*|/\*.*?\*/)\s*)*$", re.DOTALL)
_READS = re.compile(r"^\s*(select|with|values)\b", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class EntityQuery:
    """The SELECT of one entity, where the profile has it ("file:line"), and how its table is followed."""

    entity: str
    sql: str
    place: str
    overlap_minutes: int
    reconcile_days: int
    maximum_deleted_percent: int
    tells_changes: bool
    first_line: int
    optional_table: str = ""

    def place_of(self, column: str) -> str:
        """Where the profile gives a column ("file:line"): the last line that names it so; the SELECT where none does."""
        file, lines = self.place.rpartition(":")[0], self.sql.splitlines()
        for pattern in (rf"\bas\s+[\"`]?{column}\b", rf"\b{column}\b"):
            matching = [number for number, line in enumerate(lines) if re.search(pattern, line, re.IGNORECASE)]
            if matching and self.first_line:
                return f"{file}:{self.first_line + matching[-1]}"
        return self.place


@dataclass(frozen=True, kw_only=True)
class KeyRules:
    """How the database compares the values of its keys. `is_case_insensitive`: `e2` and `E2` are one key. `is_trimmed`: blanks at
    the end do not count, as in a CHAR column."""

    is_case_insensitive: bool = False
    is_trimmed: bool = False


@dataclass(frozen=True, kw_only=True)
class PmDatabaseProfile:
    """A checked profile. `time_zone` is `tenant` or an IANA name; `keys` says how the database compares keys; entities in the
    profile's order."""

    name: str
    time_zone: str
    timeout_seconds: int
    keys: KeyRules
    entities: Mapping[str, EntityQuery]

    def zone(self, tenant_zone: str) -> str:
        """The IANA time zone of times without an offset."""
        return tenant_zone if self.time_zone == TENANT_ZONE else self.time_zone


def parse_pm_database(reader: NodeReader, root: yaml.Node, name: str) -> PmDatabaseProfile:
    """Checks the nodes of one file. Raises ConfigurationError naming file, line and key."""
    nodes = reader.mapping(root, "", ("kind", "time_zone", *DEFAULTS, "keys", "entities"))
    zone_node = reader.needed(nodes, root, "", "time_zone")
    zone = reader.text(zone_node, "time_zone")
    if zone != TENANT_ZONE:
        try:
            ZoneInfo(zone)
        except (KeyError, ValueError, OSError):
            raise reader.fail(zone_node, "time_zone", f"{zone!r} is neither `tenant` nor an IANA time zone") from None
    numbers = _numbers(reader, nodes, "", {name: default for name, (default, _, _) in DEFAULTS.items()})
    entities_node = reader.needed(nodes, root, "", "entities")
    entities = {}
    contracts = load_contracts()
    for entity, node in reader.mapping(entities_node, "entities").items():
        if entity not in contracts:
            raise reader.fail(node, f"entities.{entity}", "there is no entity with this name")
        entities[entity] = _query(reader, node, contracts[entity], numbers)
    if not entities:
        raise reader.fail(entities_node, "entities", "has no entity")
    return PmDatabaseProfile(
        name=name,
        time_zone=zone,
        timeout_seconds=numbers["timeout_seconds"],
        keys=_key_rules(reader, nodes.get("keys")),
        entities=MappingProxyType(entities),
    )


def _key_rules(reader: NodeReader, node: yaml.Node | None) -> KeyRules:
    """The rules under `keys`; without it every key is its exact text."""
    nodes = reader.mapping(node, "keys", tuple(_KEY_RULES)) if node is not None else {}
    words = {name: default for name, (default, _) in _KEY_RULES.items()}
    for name, value in nodes.items():
        words[name] = reader.text(value, f"keys.{name}")
        if words[name] not in _KEY_RULES[name]:
            allowed = ", ".join(_KEY_RULES[name])
            raise reader.fail(value, f"keys.{name}", f"{words[name]!r} is not one of {allowed}")
    return KeyRules(is_case_insensitive=words["case"] == "insensitive", is_trimmed=words["padding"] == "trimmed")


def _numbers(
    reader: NodeReader, nodes: Mapping[str, yaml.Node], key: str, defaults: Mapping[str, int]
) -> dict[str, int]:
    """The numbers among some keys, those that are not there by default."""
    numbers = dict(defaults)
    for name, (_, lowest, highest) in DEFAULTS.items():
        if name not in nodes:
            continue
        place = f"{key}.{name}" if key else name
        text = reader.text(nodes[name], place)
        if not re.fullmatch(r"\d{1,9}", text, re.ASCII) or not lowest <= int(text) <= highest:
            raise reader.fail(nodes[name], place, f"{text!r} is not a whole number from {lowest} to {highest}")
        numbers[name] = int(text)
    return numbers


def _query(reader: NodeReader, node: yaml.Node, contract: Contract, defaults: Mapping[str, int]) -> EntityQuery:
    key = f"entities.{contract.name}"
    nodes = reader.mapping(node, key, ("sql", "changes", "optional_table", *_OF_ENTITIES))
    numbers = _numbers(reader, nodes, key, {name: defaults[name] for name in _OF_ENTITIES})
    changes = reader.text(nodes["changes"], f"{key}.changes") if "changes" in nodes else _CHANGES[0]
    if changes not in _CHANGES:
        raise reader.fail(nodes["changes"], f"{key}.changes", f"{changes!r} is not one of {', '.join(_CHANGES)}")
    sql_node = reader.needed(nodes, node, key, "sql")
    sql = _END.sub("", reader.text(sql_node, f"{key}.sql").strip()).rstrip()
    bare = _COMMENT.sub(" ", sql)
    if not _READS.match(bare):
        raise reader.fail(sql_node, f"{key}.sql", "must be a SELECT")
    if ";" in re.sub(r"'[^']*'", "", bare):
        raise reader.fail(sql_node, f"{key}.sql", "must be one statement")
    if not re.search(r"\bselect\s+(distinct\s+)?(\w+\.)?\*|,\s*(\w+\.)?\*", bare, re.IGNORECASE):
        # Only a text search: whether a name is really a column is known when the database is read.
        missing = [
            name for name in (*contract.entity_key, *LINEAGE) if not re.search(rf"\b{name}\b", bare, re.IGNORECASE)
        ]
        if missing:
            raise reader.fail(sql_node, f"{key}.sql", f"must select {', '.join(missing)}")
    place = f"{reader.file}:{sql_node.start_mark.line + 1}"
    return EntityQuery(
        entity=contract.name,
        sql=sql,
        place=place,
        tells_changes=changes == _CHANGES[0],
        first_line=_first_line(sql_node),
        optional_table=reader.text(nodes["optional_table"], f"{key}.optional_table")
        if "optional_table" in nodes
        else "",
        **numbers,
    )


def _first_line(node: yaml.Node) -> int:
    """The line on which the SELECT begins; 0 if YAML folds lines, because the line is then unknown."""
    if not isinstance(node, yaml.ScalarNode) or node.style == ">":
        return 0
    blank = len(node.value) - len(node.value.lstrip())
    return int(node.start_mark.line) + 1 + (node.style == "|") + str(node.value)[:blank].count("\n")
