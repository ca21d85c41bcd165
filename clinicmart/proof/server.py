"""The dashboards on the home of the proof: the real server in a separate process, and clients that attack it."""

import http.client
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass

from websockets.exceptions import WebSocketException
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin, Subprotocol

from clinicmart.proof.site import Site
from dashboards.server.auth_gate import SESSION_COOKIE
from foundation.errors import AccessError, ClinicmartError

COMMAND = (sys.executable, "-m", "clinicmart.main")
START_SECONDS = 300
PAGE_SECONDS = 300


@dataclass(frozen=True, kw_only=True)
class Server:
    """A running server; what it writes to its log is in `log`, a file."""

    port: int

    def get(self, path: str, *, host: str, token: str = "", headers: Sequence[tuple[str, str]] = ()) -> tuple[int, str]:
        """Status and body of a request. `token` is that of a session."""
        cookie = (("Cookie", f"{SESSION_COOKIE}={token}"),) if token else ()
        return self.ask(path, host=host, headers=(*cookie, *headers))

    def ask(self, path: str, *, host: str, headers: Sequence[tuple[str, str]] = (), body: str = "") -> tuple[int, str]:
        """Status and body of a request: a POST where it has a body."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PAGE_SECONDS)
        with closing(connection):
            connection.putrequest("POST" if body else "GET", path, skip_host=True)
            connection.putheader("Host", f"{host}:{self.port}")
            if body:
                connection.putheader("Content-Length", str(len(body.encode())))
            for name, value in headers:
                connection.putheader(name, value)
            connection.endheaders(body.encode() or None)
            answer = connection.getresponse()
            return answer.status, answer.read().decode("utf-8", "replace")

    def body(self, path: str, *, host: str, token: str = "", headers: Sequence[tuple[str, str]] = ()) -> str:
        """The body of an answer with status 200. Raises AccessError for every other status."""
        status, text = self.get(path, host=host, token=token, headers=headers)
        if status != http.client.OK:
            raise AccessError(f"status {status}: {text}")
        return text

    @contextmanager
    def page(self, tenant: str, token: str, *, resume: str = "", origin: str = "") -> Iterator[ClientConnection]:
        """A socket to a tenant's address, as a browser opens it; `resume` is the id of a live page. Raises AccessError."""
        own = f"http://{tenant}.localhost:{self.port}"
        try:
            opened = connect(
                f"ws://{tenant}.localhost:{self.port}/_stcore/stream",
                sock=socket.create_connection(("127.0.0.1", self.port)),
                additional_headers={"Cookie": f"{SESSION_COOKIE}={token}"},
                origin=Origin(origin or own),
                subprotocols=[Subprotocol(name) for name in ("streamlit", "x", resume) if name],
                max_size=None,
            )
        except (WebSocketException, OSError) as error:
            raise AccessError(f"the socket was refused: {error}") from None
        with opened:
            yield opened


@contextmanager
def serving(site: Site, command: Sequence[str] = COMMAND) -> Iterator[Server]:
    """The server of the home on a free port of this machine. Raises ClinicmartError where it does not start."""
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    log = site.home.path.parent / "server.log"
    words = [*command, "serve", "--home", str(site.home.path), "--port", str(port)]
    with log.open("a", encoding="utf-8") as lines, subprocess.Popen(words, stdout=lines, stderr=lines) as process:  # noqa: S603
        try:
            server = Server(port=port)
            _wait(server, process)
            yield server
        finally:
            process.terminate()


def _wait(server: Server, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until:
        if process.poll() is not None:
            break
        try:
            if server.get("/healthz", host="localhost")[0] == http.client.OK:
                return
        except OSError:
            time.sleep(0.2)
    raise ClinicmartError("the dashboards of the proof did not start")
