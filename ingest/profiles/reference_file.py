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
    found = reader.mapping(root, "", ("kind", "entity", *_OPTIONS, "columns", "constants"))
    of = _entity(reader, reader.needed(found, root, "", "entity"))
    columns: dict[str, str | int] = {}
    for column, text in _columns(reader, found, "columns", of).items():
        columns[column] = int(text) if re.fullmatch(r"[1-9]\d{0,3}", text, re.ASCII) else text
    constants = _columns(reader, found, "constants", of)
    for column in constants:
        if column in columns:
            raise reader.fail(found["constants"], f"constants.{column}", "is also in columns; give it in one place")
    for column in of.entity_key:
        if column not in columns and column not in constants and not of.by_name[column].keeps_empty:
            raise reader.fail(root, f"columns.{column}", f"is missing: it belongs to the key of {of.name}")
    return ReferenceFileProfile(
        name=name,
        entity=of.name,
        delimiter=_delimiter(reader, found),
        encoding=_one_of(reader, found, "encoding", ENCODINGS),
        header_line=_header_line(reader, found),
        date_format=reader.text(found["date_format"], "date_format") if "date_format" in found else "%Y-%m-%d",
        columns=MappingProxyType(columns),
        constants=MappingProxyType(constants),
        places=MappingProxyType(_places(reader, found)),
    )


def _entity(reader: NodeReader, node: yaml.Node) -> Contract:
    name = reader.text(node, "entity")
    known = {of.name: of for of in load_contracts().values() if _is_reference(of)}
    if name not in known:
        raise reader.fail(node, "entity", f"{name!r} is not one of {', '.join(known)}")
    return known[name]


def _is_reference(of: Contract) -> bool:
    """Whether rows of an entity may come in a reference file: nothing in them names a patient."""
    named = any(column.token_domain or column.token_domain_of for column in of.columns)
    return of.store == "landing" and of.name != "record_deletion" and not named


def _columns(reader: NodeReader, found: Mapping[str, yaml.Node], key: str, of: Contract) -> dict[str, str]:
    if key not in found:
        return {}
    known = {column.name for column in of.reader_columns if column.name not in _NOT_GIVEN}
    given = {}
    for column, node in reader.mapping(found[key], key).items():
        if column not in known:
            raise reader.fail(
                node, f"{key}.{column}", f"{of.name} has no such column; it has {', '.join(sorted(known))}"
            )
        given[column] = reader.text(node, f"{key}.{column}")
    return given


def _delimiter(reader: NodeReader, found: Mapping[str, yaml.Node]) -> str:
    if "delimiter" not in found:
        return ","
    text = reader.text(found["delimiter"], "delimiter")
    if len(text) != 1 or text in '"\r\n':
        raise reader.fail(found["delimiter"], "delimiter", 'is one character, such as ";" or a tab written "\\t"')
    return text


def _one_of(reader: NodeReader, found: Mapping[str, yaml.Node], key: str, known: tuple[str, ...]) -> str:
    if key not in found:
        return known[0]
    text = reader.text(found[key], key)
    if text not in known:
        raise reader.fail(found[key], key, f"{text!r} is not one of {', '.join(known)}")
    return text


def _header_line(reader: NodeReader, found: Mapping[str, yaml.Node]) -> int:
    if "header_line" not in found:
        return 1
    text = reader.text(found["header_line"], "header_line")
    if not re.fullmatch(r"[1-9]\d{0,3}", text, re.ASCII):
        raise reader.fail(found["header_line"], "header_line", f"{text!r} is not a line number from 1 to 9999")
    return int(text)


def _places(reader: NodeReader, found: Mapping[str, yaml.Node]) -> dict[str, str]:
    places = {}
    for key in ("columns", "constants"):
        if key in found:
            for column, node in reader.mapping(found[key], key).items():
                places[column] = f"{reader.file}:{node.start_mark.line + 1}"
    return places
