"""The profile of a reference file: a table of codes or rates that somebody licensed or keeps, one CSV file or several.

    kind: reference_file
    entity: work_rvu_rate          # the entity of the model that the rows are
    delimiter: ","                 # these four may be left out
    encoding: utf-8                # or cp1252, latin-1, utf-16
    header_line: 1                 # the line that names the columns; what stands above it is passed over
    date_format: "%Y-%m-%d"
    columns:                       # column of the contract: name of the column of the file, or its number from 1
      procedure_code: HCPCS
      modifier: MOD
      work_rvus: 6
    constants:                     # column of the contract: what every row has
      effective_from: 2026-01-01

Every column of the entity's key is in `columns` or `constants`, or may be empty. Only entities that name no patient can be
read from such a file.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import yaml

from data_contracts import Contract, load_contracts
from foundation.yaml_nodes import NodeReader

ENCODINGS = ("utf-8", "cp1252", "latin-1", "utf-16")
# What ingest sets itself.
_NOT_GIVEN = ("source_position",)
_OPTIONS = ("delimiter", "encoding", "header_line", "date_format")


@dataclass(frozen=True, kw_only=True)
class ReferenceFileProfile:
    """A checked profile. `columns` maps a column of the contract to a heading of the file or to a number from 1; `places`
    says where the profile has each column ("file:line")."""

    name: str
    entity: str
    delimiter: str
    encoding: str
    header_line: int
    date_format: str
    columns: Mapping[str, str | int]
    constants: Mapping[str, str]
    places: Mapping[str, str]


def parse_reference_file(reader: NodeReader, root: yaml.Node, name: str) -> ReferenceFileProfile:
    """Checks the nodes of one file. Raises ConfigurationError naming file, line and key."""
    nodes = reader.mapping(root, "", ("kind", "entity", *_OPTIONS, "columns", "constants"))
    entity_contract = _entity(reader, reader.needed(nodes, root, "", "entity"))
    columns: dict[str, str | int] = {}
    for column, text in _columns(reader, nodes, "columns", entity_contract).items():
        columns[column] = int(text) if re.fullmatch(r"[1-9]\d{0,3}", text, re.ASCII) else text
    constants = _columns(reader, nodes, "constants", entity_contract)
    for column in constants:
        if column in columns:
            raise reader.fail(nodes["constants"], f"constants.{column}", "is also in columns; give it in one place")
    for column in entity_contract.entity_key:
        if column not in columns and column not in constants and not entity_contract.by_name[column].keeps_empty:
            raise reader.fail(root, f"columns.{column}", f"is missing: it belongs to the key of {entity_contract.name}")
    return ReferenceFileProfile(
        name=name,
        entity=entity_contract.name,
        delimiter=_delimiter(reader, nodes),
        encoding=_one_of(reader, nodes, "encoding", ENCODINGS),
        header_line=_header_line(reader, nodes),
        date_format=reader.text(nodes["date_format"], "date_format") if "date_format" in nodes else "%Y-%m-%d",
        columns=MappingProxyType(columns),
        constants=MappingProxyType(constants),
        places=MappingProxyType(_places(reader, nodes)),
    )


def _entity(reader: NodeReader, node: yaml.Node) -> Contract:
    name = reader.text(node, "entity")
    contracts = {
        entity_contract.name: entity_contract
        for entity_contract in load_contracts().values()
        if _is_reference(entity_contract)
    }
    if name not in contracts:
        raise reader.fail(node, "entity", f"{name!r} is not one of {', '.join(contracts)}")
    return contracts[name]


def _is_reference(entity_contract: Contract) -> bool:
    """Whether rows of an entity may come in a reference file: nothing in them names a patient."""
    named = any(column.token_domain or column.token_domain_of for column in entity_contract.columns)
    return entity_contract.store == "landing" and entity_contract.name != "record_deletion" and not named


def _columns(reader: NodeReader, nodes: Mapping[str, yaml.Node], key: str, entity_contract: Contract) -> dict[str, str]:
    if key not in nodes:
        return {}
    settable = {column.name for column in entity_contract.reader_columns if column.name not in _NOT_GIVEN}
    headings = {}
    for column, node in reader.mapping(nodes[key], key).items():
        if column not in settable:
            raise reader.fail(
                node,
                f"{key}.{column}",
                f"{entity_contract.name} has no such column; it has {', '.join(sorted(settable))}",
            )
        headings[column] = reader.text(node, f"{key}.{column}")
    return headings


def _delimiter(reader: NodeReader, nodes: Mapping[str, yaml.Node]) -> str:
    if "delimiter" not in nodes:
        return ","
    text = reader.text(nodes["delimiter"], "delimiter")
    if len(text) != 1 or text in '"\r\n':
        raise reader.fail(nodes["delimiter"], "delimiter", 'is one character, such as ";" or a tab written "\\t"')
    return text


def _one_of(reader: NodeReader, nodes: Mapping[str, yaml.Node], key: str, allowed: tuple[str, ...]) -> str:
    if key not in nodes:
        return allowed[0]
    text = reader.text(nodes[key], key)
    if text not in allowed:
        raise reader.fail(nodes[key], key, f"{text!r} is not one of {', '.join(allowed)}")
    return text


def _header_line(reader: NodeReader, nodes: Mapping[str, yaml.Node]) -> int:
    if "header_line" not in nodes:
        return 1
    text = reader.text(nodes["header_line"], "header_line")
    if not re.fullmatch(r"[1-9]\d{0,3}", text, re.ASCII):
        raise reader.fail(nodes["header_line"], "header_line", f"{text!r} is not a line number from 1 to 9999")
    return int(text)


def _places(reader: NodeReader, nodes: Mapping[str, yaml.Node]) -> dict[str, str]:
    places = {}
    for key in ("columns", "constants"):
        if key in nodes:
            for column, node in reader.mapping(nodes[key], key).items():
                places[column] = f"{reader.file}:{node.start_mark.line + 1}"
    return places
