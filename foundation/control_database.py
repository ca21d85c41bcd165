"""Where people, rights, sessions and the audit of a home are kept: `access.sqlite` of the home, or a PostgreSQL database.

control_database:
  postgres: "${CLINICMART_CONTROL_URL}"    # without it `access.sqlite` of the home

Several servers that share a home share this database. The home notes the setting as it stands in the configuration, with the names of
variables and not with their values (`control.json`): commands that have no configuration find the database by it, and no secret lies in
the home.
"""

import os
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import yaml

from foundation import formats
from foundation.errors import ConfigurationError
from foundation.exposure import is_loopback
from foundation.home import CONTROL_FILE, Home
from foundation.kept_files import KeptFile
from foundation.yaml_nodes import NodeReader, compose_file

SECTION = "control_database"
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_SCHEMES = ("postgresql", "postgres", "postgresql+psycopg")
_ENCRYPTED = ("require", "verify-ca", "verify-full")


@dataclass(frozen=True, kw_only=True)
class ControlDatabase:
    """`postgres` is the URL as it is written, with the names of variables (`${NAME}`) in it."""

    postgres: str

    @property
    def url(self) -> str:
        """The URL with the values of the variables. Raises ConfigurationError, without the URL: it may hold a password."""

        def value_of(match: re.Match[str]) -> str:
            value = os.environ.get(match.group(1))
            if value is None:
                raise ConfigurationError(f"{SECTION}: environment variable {match.group(1)} is not set")
            return value

        url = _VARIABLE.sub(value_of, self.postgres)
        if problem := _problem(url):
            raise ConfigurationError(f"{SECTION}.postgres: {problem}")
        return url


class ControlRecord(KeptFile):
    """`control.json` of a home whose people are on a PostgreSQL server: the setting as the configuration has it."""

    FORMAT = formats.CONTROL
    postgres: str


def parse_control_database(reader: NodeReader, node: yaml.Node, key: str) -> ControlDatabase:
    """Reads the section. Raises ConfigurationError with file, line and key; never shows a password."""
    nodes = reader.mapping(node, key, ("postgres",))
    written_node = reader.needed(nodes, node, key, "postgres")
    # Also says where a variable is not set.
    url = reader.text(written_node, f"{key}.postgres")
    if problem := _problem(url):
        raise reader.fail(written_node, f"{key}.postgres", problem)
    written = str(written_node.value)
    if _password(written) and not _VARIABLE.search(_password(written)):
        problem = "holds a password: write it as a variable (${NAME}), or in a file that passfile=... of the URL names"
        raise reader.fail(written_node, f"{key}.postgres", problem)
    return ControlDatabase(postgres=written)


def load_control_database(file: Path) -> ControlDatabase:
    """The section alone: no secret of a feed is needed. Raises ConfigurationError, also where there is no such section."""
    path = file.expanduser().resolve()
    reader = NodeReader(path)
    nodes = reader.mapping(compose_file(path), "")
    if SECTION not in nodes:
        raise ConfigurationError(f"{path}: {SECTION}: is missing: name the PostgreSQL database of people")
    return parse_control_database(reader, nodes[SECTION], SECTION)


def control_database_of(home: Home) -> ControlDatabase | None:
    """The PostgreSQL database of a home's people; None where they are in `access.sqlite`. Raises DamagedFileError."""
    record = ControlRecord.read(home.path / CONTROL_FILE)
    return None if record is None else ControlDatabase(postgres=record.postgres)


def note_control_database(home: Home, setting: ControlDatabase) -> None:
    """From now on the home's people are in this database."""
    ControlRecord(postgres=setting.postgres).write(home.path / CONTROL_FILE)


def has_people(home: Home) -> bool:
    """Whether the home has a database of people: a file, or one on a server. Asks no server."""
    return home.access.exists() or (home.path / CONTROL_FILE).exists()


def people_file(home: Home) -> Path:
    """The file of the home that holds its people, or that names the database that does."""
    on_server = home.path / CONTROL_FILE
    return on_server if on_server.exists() else home.access


def _password(url: str) -> str:
    """The password in a URL, also in its parameters; empty for none."""
    try:
        parts = urlsplit(url)
        return unquote(parts.password or "") or "".join(parse_qs(parts.query).get("password", ()))
    except ValueError:
        return ""


def _problem(url: str) -> str:
    """Why a URL cannot be used; empty where it can. Holds nothing of the URL but its host."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        return "is not a URL"
    if parts.scheme not in _SCHEMES:
        return "must be the URL of a PostgreSQL database: postgresql://user@host/database"
    if len(parts.path) < 2:
        return "must name a database: postgresql://user@host/database"
    parameters = parse_qs(parts.query)
    hosts = [host, *parameters.get("host", ())]
    is_here = all(not item or item.startswith("/") or is_loopback(unquote(item)) for item in hosts)
    if not is_here and parameters.get("sslmode", [""])[-1] not in _ENCRYPTED:
        return f"people's data leave this machine encrypted only: add sslmode=verify-full for {host or hosts[-1]}"
    return ""
