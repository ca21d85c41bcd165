"""The profile of a PM database: one SELECT an entity, in that system's own SQL, its columns named as the contract's.

    kind: pm_database
    time_zone: tenant            # of times without an offset: `tenant`, or an IANA name
    entities:
      appointment:
        sql: |
          select a.id as appointment_id, a.id as source_record_id, a.changed as source_updated_at, ... from appts a

Every SELECT gives the entity's key columns, `source_record_id` and `source_updated_at`. It has no ORDER BY: the reader
wraps it.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from zoneinfo import ZoneInfo

import yaml

from data_contracts import Contract, load_contracts
from foundation.yaml_nodes import NodeReader

LINEAGE = ("source_record_id", "source_updated_at")
TENANT_ZONE = "tenant"
_COMMENT = re.compile(r"--[^\n]*|/\*.*?\*/", re.DOTALL)
_END = re.compile(r";\s*((--[^\n]*|/\*.*?\*/)\s*)*$", re.DOTALL)
_READS = re.compile(r"^\s*(select|with|values)\b", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class EntityQuery:
    """The SELECT of one entity and where the profile has it ("file:line")."""

    entity: str
    sql: str
    place: str


@dataclass(frozen=True, kw_only=True)
class PmDatabaseProfile:
    """A checked profile. `time_zone` is `tenant` or an IANA name; entities in the profile's order."""

    name: str
    time_zone: str
    entities: Mapping[str, EntityQuery]

    def zone(self, tenant_zone: str) -> str:
        """The IANA time zone of times without an offset."""
        return tenant_zone if self.time_zone == TENANT_ZONE else self.time_zone


def parse_pm_database(reader: NodeReader, root: yaml.Node, name: str) -> PmDatabaseProfile:
    """Checks the nodes of one file. Raises ConfigurationError naming file, line and key."""
    found = reader.mapping(root, "", ("kind", "time_zone", "entities"))
    zone_node = reader.needed(found, root, "", "time_zone")
    zone = reader.text(zone_node, "time_zone")
    if zone != TENANT_ZONE:
        try:
            ZoneInfo(zone)
        except (KeyError, ValueError, OSError):
            raise reader.fail(zone_node, "time_zone", f"{zone!r} is neither `tenant` nor an IANA time zone") from None
    entities_node = reader.needed(found, root, "", "entities")
    entities = {}
    contracts = load_contracts()
    for entity, node in reader.mapping(entities_node, "entities").items():
        if entity not in contracts:
            raise reader.fail(node, f"entities.{entity}", "no entity has this name")
        entities[entity] = _query(reader, node, contracts[entity])
    if not entities:
        raise reader.fail(entities_node, "entities", "has no entity")
    return PmDatabaseProfile(name=name, time_zone=zone, entities=MappingProxyType(entities))


def _query(reader: NodeReader, node: yaml.Node, contract: Contract) -> EntityQuery:
    key = f"entities.{contract.name}"
    found = reader.mapping(node, key, ("sql",))
    sql_node = reader.needed(found, node, key, "sql")
    sql = _END.sub("", reader.text(sql_node, f"{key}.sql").strip()).rstrip()
    bare = _COMMENT.sub(" ", sql)
    if not _READS.match(bare):
        raise reader.fail(sql_node, f"{key}.sql", "must be a SELECT")
    if ";" in re.sub(r"'[^']*'", "", bare):
        raise reader.fail(sql_node, f"{key}.sql", "must be one statement")
    if not re.search(r"\bselect\s+(distinct\s+)?(\w+\.)?\*|,\s*(\w+\.)?\*", bare, re.IGNORECASE):
        # Only a text search: the database itself tells, when it is read, whether a name is really a column.
        missing = [
            name for name in (*contract.entity_key, *LINEAGE) if not re.search(rf"\b{name}\b", bare, re.IGNORECASE)
        ]
        if missing:
            raise reader.fail(sql_node, f"{key}.sql", f"gives no {', '.join(missing)}")
    return EntityQuery(entity=contract.name, sql=sql, place=f"{reader.file}:{sql_node.start_mark.line + 1}")
