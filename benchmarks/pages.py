"""How long pages take in a browser, on the largest tenant of a home, for a person who is signed in.

    python benchmarks/pages.py --home HOME [--rounds N] [--user USER] [--code CHECKOUT]

Four ways: a full load of each page's address, a move from page to page in the bar, a drill into the first unit of the overview and
back, a figure opened from its tile with its rows. A page is complete when its head is there and its run is over. Full loads are also
told over an empty Streamlit page that is loaded in turn with them, and with the seconds of processor that the server took. Budget on an
idle machine: moves, drills and opened figures 0.7 s at the 95th percentile, full loads 0.8 s over the empty page. `--code` serves the
home with another checkout, to compare two. Needs playwright and Chromium (CLINICMART_CHROMIUM, or on the path).
"""

import argparse
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median, quantiles
from tempfile import TemporaryDirectory
from typing import Any
from urllib.request import urlopen

from playwright.sync_api import Page, sync_playwright
from questions import largest

from dashboards.server.auth_gate import SESSION_COOKIE
from foundation.home import Home
from serving.people.store import AccessStore

PAGES = ("", "revenue_cycle", "throughput", "no_show", "payer_mix")
CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# Milliseconds until a page is given up.
PATIENCE = 120_000
TICKS = os.sysconf("SC_CLK_TCK")


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running(command: list[str], check: str, cwd: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A server that answers at `check`; ended at the end."""
    environment = {**os.environ, "PYTHONPATH": str(cwd)}
    process = subprocess.Popen(command, cwd=cwd, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(600):
            try:
                urlopen(check, timeout=2).close()
                break
            except OSError:
                time.sleep(0.2)
        yield process
    finally:
        process.terminate()
        process.wait(timeout=30)


def processor_seconds(pid: int) -> float:
    """User and system time of a process so far (proc(5): fields 14 and 15 of stat)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def complete(tab: Page, head: str = ".cm-head h1") -> None:
    """Waits until the page's head is drawn and its run is over."""
    tab.wait_for_selector(head, timeout=PATIENCE)
    tab.wait_for_function(
        "document.querySelector('.stApp')?.dataset.testScriptState === 'notRunning'", timeout=PATIENCE
    )


def timed(act: Callable[[], Any]) -> float:
    """Seconds that an act takes."""
    start = time.perf_counter()
    act()
    return time.perf_counter() - start


def told(name: str, seconds: list[float]) -> None:
    """Prints median, 95th percentile and slowest."""
    high = quantiles(seconds, n=20)[-1] if len(seconds) > 1 else seconds[0]
    print(f"{name:<34} median {median(seconds):5.2f} s   p95 {high:5.2f} s   slowest {max(seconds):5.2f} s")


def measure(tab: Page, address: str, empty: str, pid: int, rounds: int) -> None:
    """Loads, moves and drills, and prints each."""
    loads: dict[str, list[float]] = {key: [] for key in PAGES}
    blanks, processor = [], []
    for _ in range(rounds):
        blanks.append(timed(lambda: (tab.goto(empty), complete(tab, ".stApp"))))
        for key in PAGES:
            before = processor_seconds(pid)
            loads[key].append(timed(lambda key=key: (tab.goto(f"{address}/{key}"), complete(tab))))  # type: ignore[misc]
            processor.append(processor_seconds(pid) - before)
    told("empty Streamlit page", blanks)
    for key, seconds in loads.items():
        told(f"full load, {key or 'overview'}", seconds)
    everything = [second for seconds in loads.values() for second in seconds]
    print(f"full loads over the empty page: {median(everything) - median(blanks):.2f} s at the median")
    print(f"processor of the server, a full load: {median(processor):.2f} s at the median")
    tab.goto(f"{address}/")
    complete(tab)
    moves, drills, passports = [], [], []
    for _ in range(rounds):
        for title in ("Revenue cycle", "Overview"):

            def move(title: str = title) -> None:
                tab.click(f".st-key-cm_pages >> text={title}")
                tab.wait_for_function("title => document.title.startsWith(title)", arg=title)
                complete(tab)

            moves.append(timed(move))

        def drill() -> None:
            tab.click(".cm-units .cm-go >> nth=0")
            tab.wait_for_url("**place=**")
            complete(tab)

        drills.append(timed(drill))
        tab.go_back()
        complete(tab)
        passports.append(timed(lambda: open_passport(tab)))
        tab.keyboard.press("Escape")
        tab.wait_for_selector(".cm-pass-head", state="detached")
        complete(tab)
    told("move to another page", moves)
    told("drill into a unit", drills)
    told("open a figure", passports)


def open_passport(tab: Page) -> None:
    """Opens the first tile's drawer and waits for its last part."""
    tab.click(".cm-tile h3 button >> nth=0")
    tab.wait_for_selector(".cm-passport footer", timeout=PATIENCE)
    complete(tab)


def main() -> None:
    """Serves, opens a browser, measures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--user", help="who signs in; the tenant's administrator by default")
    parser.add_argument("--code", type=Path, default=Path(__file__).parents[1])
    options = parser.parse_args()
    home = Home.at(options.home)
    tenant = largest(home)
    access = AccessStore.open(home)
    person = access.principal(tenant, options.user or f"admin@{tenant}")
    token = access.create_session(person)
    if access.session(token) is None:
        raise SystemExit(f"{person.email} cannot see pages yet; sign in once, or name another person with --user")
    path = os.environ.get("CLINICMART_CHROMIUM") or next(filter(None, map(shutil.which, CHROMIUM)), None)
    port, empty_port = free_port(), free_port()
    serve = [str(Path(sys.executable).parent / "clinicmart"), "serve", "--home", str(home.path), "--port", str(port)]
    with TemporaryDirectory() as folder, sync_playwright() as driver:
        script = Path(folder) / "empty.py"
        script.write_text("import streamlit\n")
        blank = [sys.executable, "-m", "streamlit", "run", str(script), "--server.port", str(empty_port)]
        blank += ["--server.headless", "true", "--browser.gatherUsageStats", "false"]
        empty = f"http://localhost:{empty_port}"
        address = f"http://{tenant}.localhost:{port}"
        with (
            running(serve, f"http://localhost:{port}/healthz", options.code.resolve()) as server,
            running(blank, f"{empty}/_stcore/health", Path(folder)),
        ):
            browser = driver.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
            context = browser.new_context(viewport={"width": 1440, "height": 900}, bypass_csp=True)
            context.add_cookies([{"name": SESSION_COOKIE, "value": token, "url": address}])
            tab = context.new_page()
            tab.set_default_timeout(PATIENCE)
            tab.set_default_navigation_timeout(PATIENCE)
            # The first page pays for what nobody asked before.
            print(f"first page of the server: {timed(lambda: (tab.goto(address), complete(tab))):.2f} s")
            measure(tab, address, empty, server.pid, options.rounds)
            browser.close()


if __name__ == "__main__":
    main()
