"""Processes that run together and end together: the orchestrator's page and its daemon.

They end when one of them ends, when this process gets SIGTERM or SIGINT, and when it is killed. They are asked first, so that they end
the processes that they started; who does not end in time is killed with its group.
"""

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from types import FrameType

# linux/prctl.h: the signal that a process gets when its parent ends.
_PR_SET_PDEATHSIG = 1
PATIENCE_SECONDS = 20.0
_STEP_SECONDS = 0.1


class _Stop(Exception):
    """This process was asked to end."""


def run_together(commands: Sequence[Sequence[str]], environment: Mapping[str, str]) -> int:
    """Starts commands and waits until one of them ends or this process is asked to end; ends the others.

    Returns the exit code of the command that ended by itself, else 0.
    """
    before = {number: signal.signal(number, _stop) for number in (signal.SIGTERM, signal.SIGINT)}
    started: list[subprocess.Popen[bytes]] = []
    try:
        for command in commands:
            # Each has a separate session: Ctrl+C reaches this process alone, which ends them in turn.
            started.append(
                subprocess.Popen(command, env=dict(environment), start_new_session=True, preexec_fn=_end_with_parent)  # noqa: S603
            )
        while True:
            for process in started:
                code = process.poll()
                if code is not None:
                    return code
            time.sleep(_STEP_SECONDS)
    except _Stop:
        return 0
    finally:
        for number in before:
            # A second signal must not stop the ending.
            signal.signal(number, signal.SIG_IGN)
        _end(started)
        for number, handler in before.items():
            signal.signal(number, handler)


def _stop(_number: int, _frame: FrameType | None) -> None:
    raise _Stop


def _end_with_parent() -> None:
    """In the child, before its program starts. Only on Linux; elsewhere it does nothing."""
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _end(processes: Sequence["subprocess.Popen[bytes]"]) -> None:
    for process in processes:
        with suppress(ProcessLookupError):
            process.terminate()
    latest = time.monotonic() + PATIENCE_SECONDS
    for process in processes:
        with suppress(subprocess.TimeoutExpired):
            process.wait(max(0.0, latest - time.monotonic()))
    for process in processes:
        # What it started and left behind is of its group.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
