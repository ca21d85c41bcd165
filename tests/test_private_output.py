"""What a command writes belongs to its owner, and what it prints does nothing to a terminal."""

import io
import os
import subprocess
import sys
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from clinicmart.harmless import HarmlessOutput, visible
from clinicmart.options import print_table
from foundation.home import Home

HARMFUL = "\x1b[31mred\x07\x9b2J\rover\x7f\u202eback"


def test_files_of_a_home_belong_to_the_owner_alone_whatever_the_shell_allows(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir(mode=0o777)
    # A command works in a folder that looks like a home.
    (home / "config.json").touch(mode=0o600)
    for words in (("users", "list", "--tenant", "harbor"), ("status",)):
        subprocess.run(
            [sys.executable, "-m", "clinicmart.main", *words, "--home", str(home)],
            check=False,
            capture_output=True,
            umask=0,
        )
    written = [path for path in home.rglob("*") if path.is_file()]
    assert {"access.sqlite", "ledger.sqlite"} <= {path.name for path in written}
    assert [path for path in written if path.stat().st_mode & 0o077] == []
    # Control: without our own mask the same shell leaves files that all may read.
    subprocess.run([sys.executable, "-c", f"open({str(home / 'open')!r}, 'w')"], check=True, umask=0)
    assert (home / "open").stat().st_mode & 0o077


def test_a_home_of_an_earlier_release_becomes_private(tmp_path: Path) -> None:
    home = Home.at(tmp_path / "home")
    loose, elsewhere = home.path / "ledger.sqlite", tmp_path / "elsewhere"
    for file in (loose, elsewhere):
        file.touch()
        file.chmod(0o644)
    (home.path / "link").symlink_to(elsewhere)
    os.chmod(home.path, 0o755)
    home.note_format()
    assert loose.stat().st_mode & 0o777 == 0o600
    assert home.path.stat().st_mode & 0o777 == 0o700
    assert elsewhere.stat().st_mode & 0o777 == 0o644, "what a link leads to is not ours"


def printed(text: str) -> str:
    stream = io.StringIO()
    HarmlessOutput(stream).write(text)
    return stream.getvalue()


def test_escapes_in_names_are_shown_and_not_acted_on(capsys) -> None:  # type: ignore[no-untyped-def]
    assert printed(HARMFUL) == "\\x1b[31mred\\x07\\x9b2J\\rover\\x7f\\u202eback"
    print_table(["Name"], [[HARMFUL], ["\x1b[1mbold"]])
    shown = capsys.readouterr().out
    assert "\\x1b[31mred" in shown
    assert "\\x1b[1mbold" in shown
    assert "\x1b" not in shown
    # Control: tables of our own keep their bold heads, and plain text stays as it is.
    assert printed("\x1b[1mHead\x1b[0m\tMünchen\n") == "\x1b[1mHead\x1b[0m\tMünchen\n"


@given(st.text(max_size=60))
def test_no_control_character_is_left(text: str) -> None:
    for shown in (visible(text), printed(text).replace("\x1b[1m", "").replace("\x1b[m", "")):
        left = [c for c in shown if (ord(c) < 32 and c not in "\n\t") or 127 <= ord(c) < 160]
        assert left == [] or "\x1b[" in text
    assert visible(visible(text)) == visible(text)
