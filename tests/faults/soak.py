"""Everything at once for a while: `python -m tests.faults.soak --minutes 30`.

A file for each tenant every few seconds; runs, of which some are killed; people who read; backups, of which some are killed. In the middle
everything stops for an upgrade, which is killed twice: until then the home has the form of an earlier release. After it the master key
and the keys of a tenant are rotated while all goes on. In the end every published row must equal that of a home that nobody disturbed,
and so must a home that was restored from the last backup.
"""

import argparse
import hashlib
import hmac
import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from foundation import earlier_keys
from foundation.home import FORMAT_FILE, Home
from foundation.key_masters import GRANTS, expand
from foundation.keys import Keys
from serving.model import MetricQuery, NothingPublished
from serving.open_files import close_all
from serving.people.store import AccessStore
from serving.reader import open_reader
from tests.faults.kill_runs import TENANTS, add_remittance, published, run_to_end, write_site
from tests.support import CLINICMART, ROOT

QUESTION = MetricQuery(metrics=["billed_amount"])
RECOVERY_KEY = "a recovery key of the soak"
_EARLIER_FORMAT = 2
# Signs that a command was told to wait for another one: no fault.
_OTHERS_AT_WORK = ("is under way", "another process")


@dataclass
class Soak:
    """What goes on in one home. `done` counts what was done, `failures` holds what must not have happened."""

    folder: Path
    choice: random.Random
    feed_seconds: float = 3.0
    done: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)
    number: int = 1

    @property
    def home(self) -> Path:
        return self.folder / "home"

    @property
    def place(self) -> Path:
        return self.folder / "backups"

    @property
    def config(self) -> Path:
        return self.folder / "site" / "clinicmart.yaml"

    def command(self, *arguments: object, kill_share: float = 0.0, longest_seconds: float = 20.0) -> int | None:
        """Runs a command, or kills it at a random moment; returns its exit code, None where it was killed. A traceback is a failure."""
        process = subprocess.Popen(
            [str(CLINICMART), *(str(item) for item in arguments)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": str(ROOT), "CLINICMART_RECOVERY_KEY": RECOVERY_KEY},
        )
        until = self.choice.uniform(0.5, longest_seconds) if self.choice.random() < kill_share else None
        try:
            said = process.communicate(timeout=until)[1]
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            self.done[f"{arguments[0]} killed"] += 1
            return None
        self.done[str(arguments[0])] += 1
        if "Traceback" in said:
            self.failures.append(f"{arguments[0]}: {said[-600:]}")
        elif process.returncode and not any(sign in said for sign in _OTHERS_AT_WORK):
            self.failures.append(f"{arguments[0]} ended with {process.returncode}: {said[-400:]}")
        return process.returncode

    def feed(self) -> None:
        self.number += 1
        add_remittance(self.folder / "site", self.number)
        self.done["files"] += len(TENANTS)
        self.ended.wait(self.feed_seconds)

    def run(self) -> None:
        self.command("run", "--config", self.config, "--home", self.home, kill_share=0.4, longest_seconds=40)

    def back_up(self) -> None:
        if (self.home / "access.sqlite").exists():
            self.command("backup", "--home", self.home, "--to", self.place, kill_share=0.3, longest_seconds=8)
        self.ended.wait(5)

    def read(self) -> None:
        """What a page does: a figure of a person, from the version that is served just now."""
        tenant = self.choice.choice(sorted(TENANTS))
        with suppress(NothingPublished):
            home = Home.at(self.home)
            if (home.path / "published" / tenant / "current.json").exists():
                person = AccessStore.open(home).principal(tenant, f"admin@{tenant}")
                open_reader(home, person).query(QUESTION)
                self.done["figures read"] += 1
        self.ended.wait(0.5)

    def for_a_while(
        self, seconds: float, acts: Sequence[Callable[[], None]], meanwhile: Sequence[Callable[[], None]]
    ) -> None:
        """Repeats each act in a thread; does `meanwhile` once, one after the other."""
        self.ended.clear()
        threads = [threading.Thread(target=self._repeat, args=(act,)) for act in acts]
        until = time.monotonic() + seconds
        for thread in threads:
            thread.start()
        for act in meanwhile:
            act()
        time.sleep(max(0.0, until - time.monotonic()))
        self.ended.set()
        for thread in threads:
            thread.join()

    def _repeat(self, act: Callable[[], None]) -> None:
        while not self.ended.is_set():
            try:
                act()
            except Exception as error:
                self.failures.append(f"{act.__name__}: {type(error).__name__}: {error}")
                self.ended.wait(1)


def begin_as_earlier_release(home: Home) -> None:
    """Keys that follow from the master key, as homes of format 2 have them."""
    earlier_keys.carry_over(home, dict.fromkeys(TENANTS, ()))
    home.note_format()


def make_earlier(home: Home) -> None:
    """Takes from a home what `clinicmart upgrade` adds to one of format 2. Nothing works in it."""
    close_all()
    for grant in GRANTS:
        shutil.rmtree(home.keys / grant)
    check = hmac.new(expand(home.master_key.read_bytes(), "check/"), b"clinicmart", hashlib.sha256).hexdigest()
    (home.path / earlier_keys.CHECK).write_text(f"{check}\n")
    (home.path / FORMAT_FILE).write_text(f"{_EARLIER_FORMAT}\n")


def soak(folder: Path, seconds: float, *, seed: int = 1, feed_seconds: float = 3.0) -> tuple[Soak, bool, bool]:
    """Works for a while in a new folder; returns (what was done, whether the home equals an undisturbed one, and a restored one does)."""
    write_site(folder / "site")
    work = Soak(folder, random.Random(seed), feed_seconds)
    home = Home.at(work.home)
    begin_as_earlier_release(home)
    run_to_end(work.config, work.home)
    acts = [work.feed, work.run, work.back_up, work.read, work.read]
    work.for_a_while(seconds / 2, acts, ())
    run_to_end(work.config, work.home)
    make_earlier(home)
    while work.done["upgrade killed"] < 2:
        # On a quiet machine an upgrade may end before it is killed: then the next one begins from the earlier form again.
        if Home.of_any_format(work.home).format != _EARLIER_FORMAT:
            make_earlier(home)
        work.command("upgrade", "--home", work.home, kill_share=1.0, longest_seconds=2)
    if Home.of_any_format(work.home).format == _EARLIER_FORMAT:
        work.command("upgrade", "--home", work.home)

    def rotate() -> None:
        work.command("keys", "rotate", "--home", work.home)
        work.command("keys", "rotate", "--home", work.home, "--tenant", "harbor")

    work.for_a_while(seconds / 2, acts, (rotate,))
    work.command("keys", "rotate", "--home", work.home, "--finish")
    run_to_end(work.config, work.home)
    work.command("backup", "--home", work.home, "--to", work.place)
    work.command("restore", "--from", work.place, "--to", folder / "restored")
    run_to_end(work.config, folder / "restored")
    run_to_end(work.config, folder / "undisturbed")
    undisturbed = published(folder / "undisturbed")
    assert not any(Keys.of(home).of_tenant(grant, "harbor").follows_from_earlier_master for grant in GRANTS)
    work.command("doctor", "--home", work.home)
    return work, published(work.home) == undisturbed, published(folder / "restored") == undisturbed


def main() -> int:
    """Prints what was done and what failed; exit code 1 where figures differ or anything failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="clinicmart-soak-") as folder:
        work, is_same, is_restored = soak(Path(folder), options.minutes * 60, seed=options.seed)
    sys.stderr.write("".join(f"{count:6,} {name}\n" for name, count in sorted(work.done.items())))
    sys.stderr.write("".join(f"FAILED {text}\n" for text in work.failures))
    for name, equal in (("home", is_same), ("restored home", is_restored)):
        sys.stderr.write(f"{name}: {'every published row is equal' if equal else 'PUBLISHED ROWS DIFFER'}\n")
    return 0 if is_same and is_restored and not work.failures else 1


if __name__ == "__main__":
    sys.exit(main())
