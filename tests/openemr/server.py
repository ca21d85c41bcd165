"""A MariaDB server of the tests' own: its own data folder, port and socket, gone when the tests end."""

import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

PROGRAMS = ("mariadbd", "mariadb-install-db")
START_SECONDS = 60


@dataclass(frozen=True)
class Server:
    """A running server. `administrator` may do everything through its socket; others sign in over TCP."""

    port: int
    administrator: sa.Engine

    def url(self, database: str, user: str, password: str) -> str:
        """The SQLAlchemy URL under which a feed reaches a database."""
        return f"mysql+pymysql://{user}:{password}@127.0.0.1:{self.port}/{database}"


def missing_programs() -> list[str]:
    """Programs of Debian's mariadb-server that are not there."""
    return [name for name in PROGRAMS if _program(name) is None]


def _program(name: str) -> str | None:
    return shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")


@contextmanager
def mariadb() -> Iterator[Server]:
    """Starts a server and stops it at the end."""
    # Not below pytest's own folder: the path of a socket may not be longer than 107 bytes.
    with tempfile.TemporaryDirectory(prefix="clinicmart-mariadb-") as name:
        folder = Path(name)
        data = folder / "data"
        installed = subprocess.run(
            [_program("mariadb-install-db"), "--no-defaults", f"--datadir={data}", "--auth-root-authentication-method=normal",
             "--skip-test-db", "--user=root"],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert installed.returncode == 0, installed.stdout + installed.stderr
        port = _free_port()
        log = folder / "log"
        process = subprocess.Popen(
            [_program("mariadbd"), "--no-defaults", f"--datadir={data}", f"--socket={folder}/socket", f"--port={port}",
             "--bind-address=127.0.0.1", f"--pid-file={folder}/pid", f"--log-error={log}", "--user=root",
             "--default-time-zone=+00:00", "--innodb-flush-log-at-trx-commit=0", "--innodb-buffer-pool-size=64M"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        administrator = sa.create_engine(f"mysql+pymysql://root@localhost/?unix_socket={folder}/socket")
        try:
            _wait(process, administrator, log)
            yield Server(port, administrator)
        finally:
            administrator.dispose()
            process.terminate()
            process.wait(timeout=60)


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _wait(process: subprocess.Popen[bytes], administrator: sa.Engine, log: Path) -> None:
    give_up = time.monotonic() + START_SECONDS
    while True:
        try:
            with administrator.connect() as connection:
                connection.exec_driver_sql("select 1")
            return
        except sa.exc.OperationalError:
            if process.poll() is not None or time.monotonic() > give_up:
                raise RuntimeError(f"mariadbd did not start: {log.read_text() if log.exists() else ''}") from None
            time.sleep(0.2)
