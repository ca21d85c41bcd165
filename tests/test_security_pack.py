"""The security pack claims only what a test or a page shows."""

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
PACK = ROOT / "docs" / "security.md"


def test_every_test_that_the_pack_names_exists() -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)(?:::(test_\w+))?`", PACK.read_text("utf-8"))
    assert len(named) > 30
    for file, test in named:
        text = (ROOT / file).read_text("utf-8")
        assert not test or f"def {test}(" in text, f"{file} has no {test}"


def test_every_page_and_heading_that_the_pack_leads_to_exists() -> None:
    for page, heading in re.findall(r"\]\(([\w./]+?)(?:#([\w-]+))?\)", PACK.read_text("utf-8")):
        target = PACK.parent / page
        assert target.exists(), page
        if heading:
            headings = {
                line.lstrip("# ").lower().replace(" ", "-")
                for line in target.read_text("utf-8").splitlines()
                if line[:1] == "#"
            }
            assert heading in headings, f"{page} has no heading {heading}"


def test_each_rule_of_the_table_says_what_shows_it_or_that_it_is_the_customers() -> None:
    text = PACK.read_text("utf-8").split("## HIPAA safeguards")[1].split("## Answers")[0]
    rows = [line for line in text.splitlines() if re.match(r"\| \d", line)]
    assert len(rows) > 20
    for row in rows:
        _, rule, what, shown, _ = (cell.strip() for cell in row.split("|"))
        assert shown or what == "customer", rule
