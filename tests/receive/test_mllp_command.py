"""`clinicmart listen` as an operator runs it."""

import asyncio
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

from foundation.config import Feed, load_config
from tests.receive.mllp_sender import Sender, admission, free_port
from tests.support import ROOT, clinicmart


def configuration(path: Path, feeds: str) -> Path:
    file = path / "clinicmart.yaml"
    file.write_text(
        textwrap.dedent(f"""\
        tenants:
          harbor: {{name: Harbor Health, time_zone: America/New_York, feeds: [{feeds}]}}
        """)
    )
    return file


async def accepted(feed: Feed, message: bytes) -> str:
    """The code of the answer, once somebody listens."""
    until = time.monotonic() + 120
    while True:
        try:
            async with Sender(feed) as sender:
                return (await sender.send(message))[1][1]
        except OSError:
            assert time.monotonic() < until, "nobody listens"
            await asyncio.sleep(0.1)


def test_the_command_takes_messages_until_it_is_told_to_end_and_says_no_content(tmp_path: Path) -> None:
    file = configuration(tmp_path, f"{{name: adt, kind: hl7v2, listen: {{port: {free_port()}}}}}")
    (feed,) = load_config(file).tenants[0].feeds
    command = [
        sys.executable,
        "-m",
        "clinicmart.main",
        "listen",
        "--config",
        str(file),
        "--home",
        str(tmp_path / "home"),
    ]
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)
    try:
        assert asyncio.run(accepted(feed, admission(77))) == "AA"
        assert asyncio.run(accepted(feed, admission(78).replace(b"ADT^A04", b"ORU^R01"))) == "AR"
        process.send_signal(signal.SIGHUP)
        assert asyncio.run(accepted(feed, admission(79))) == "AA"
        process.send_signal(signal.SIGTERM)
        _, log = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 0
    assert "harbor/adt: listening on 127.0.0.1" in log
    assert "refused a message of 127.0.0.1: only ADT, SIU and DFT are taken here (control id hash " in log
    assert "stored 2" in log
    for telling in ("MRN7", "JANE", "C77", "C78", "V77"):
        assert telling not in log


def test_a_configuration_without_a_listener_is_an_error_of_configuration(tmp_path: Path) -> None:
    file = configuration(tmp_path, "{name: adt, kind: hl7v2, path: hl7}")
    ran = clinicmart("listen", "--config", str(file), "--home", str(tmp_path / "home"))
    assert ran.code == 2
    assert "no feed has `listen`" in ran.err
