"""dbt's command line in a process that ends with the run that started it: `python -P -m dagster_project.dbt_process build ...`.

A dbt that outlives a killed run holds the warehouse, and writes its manifest while the next run reads it.
"""

import ctypes
import os
import signal
import sys

# The process that starts dbt puts its id here: the kernel then signals dbt when that process ends.
PARENT_VARIABLE = "CLINICMART_PARENT"
# linux/prctl.h: the signal that a process gets when the thread that started it ends.
_PR_SET_PDEATHSIG = 1


def end_with_parent() -> None:
    """From now on this process is killed when its parent ends, even if the parent is killed. Only on Linux; elsewhere it does
    nothing."""
    if not sys.platform.startswith("linux"):
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    parent = os.environ.get(PARENT_VARIABLE)
    if parent is not None and str(os.getppid()) != parent:
        # It ended before we asked.
        sys.exit("the process that started dbt has ended")


def main() -> None:
    """Runs dbt with the arguments of this process."""
    end_with_parent()
    from dbt.cli.main import cli

    from dagster_project.dbt_events import skip_unwritten_events

    skip_unwritten_events()
    sys.argv[0] = "dbt"
    cli(prog_name="dbt")


if __name__ == "__main__":
    main()
