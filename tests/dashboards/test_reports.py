"""Pages as Excel workbooks and PDFs: every figure is the reader's, of the person's own scope, and nothing in a file is a formula."""

import io
import re
import shutil
import zipfile
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

import openpyxl
import polars as pl
import pypdf
import pytest
from PIL import Image

from clinicmart.commands.report import PERIODS
from dashboards import data, served_home, shell
from dashboards import format as fmt
from dashboards import period as periods
from dashboards.data import Source
from dashboards.filters import label_of
from dashboards.held_pages import pages_of
from dashboards.reports import document
from dashboards.reports.contents import contents
from dashboards.reports.make import FORMATS, make
from dashboards.view import View
from foundation.deidentification import Deidentification
from foundation.errors import AccessError, ConfigurationError
from foundation.home import Home
from serving.brand_rules import set_brand
from serving.closed_months.close import close_month
from serving.closed_months.restate import restate
from serving.model import MetricQuery
from serving.modules import PAGES
from serving.open_files import close_all
from serving.people.branding import Brand
from serving.people.principal import Role
from serving.people.store import AccessStore
from serving.reader import Reader, open_reader
from tests.serving.closing import FEBRUARY, RAW, late
from tests.serving.conftest import Place, _copied, _published_once  # noqa: F401
from tests.serving.small_warehouse import change
from tests.support import clinicmart

MARCH = periods.parse("2026-03-01_2026-03-31", date(2026, 3, 31))
QUARTER = View(period=periods.parse("2026-01-01_2026-03-31", date(2026, 3, 31)))


@pytest.fixture
def place(_published_once: Place, tmp_path: Path) -> Iterator[Place]:  # noqa: F811
    data._answer.clear()
    yield _copied(_published_once, tmp_path)
    data._answer.clear()


@pytest.fixture
def source(place: Place) -> Callable[[str], Source]:
    """`source("east@harbor")`: the data of a person."""
    return lambda user: _source(place.home, user)


def _source(home: Home, user: str) -> Source:
    principal = AccessStore.open(home).principal(user.partition("@")[2], user)
    return Source(open_reader(home, principal), principal)


def sheets_of(content: bytes) -> dict[str, list[list[Any]]]:
    """Values of a workbook by sheet and line."""
    book = openpyxl.load_workbook(io.BytesIO(content))
    return {sheet.title: [list(line) for line in sheet.iter_rows(values_only=True)] for sheet in book}


def tiles_of(sheets: dict[str, list[list[Any]]]) -> dict[str, Any]:
    """Label to value of the tiles."""
    lines = sheets["Figures"]
    first = next(number for number, line in enumerate(lines) if line[0] == "Figure")
    tiles = {}
    for line in lines[first + 1 :]:
        if line[0] is None:
            break
        tiles[line[0]] = line[1]
    return tiles


def text_of(content: bytes, password: str = "") -> str:
    """The text of a PDF with single spaces between words."""
    document_read = pypdf.PdfReader(io.BytesIO(content))
    if password:
        document_read.decrypt(password)
    return " ".join(" ".join(page.extract_text() for page in document_read.pages).split())


def is_same(cell: Any, value: Any) -> bool:
    return cell == fmt.DASH if value is None else cell == pytest.approx(float(value), rel=1e-12)


@pytest.fixture(scope="module")
def demo_copy(demo_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A copy of the demo's home with people of three scopes."""
    folder = tmp_path_factory.mktemp("reports") / "home"
    shutil.copytree(demo_home, folder, ignore=shutil.ignore_patterns("dagster", "extensions"))
    (folder / "extensions").symlink_to(Home.at(demo_home).extensions)
    home = Home.at(folder)
    own = {"password": "correct horse battery 9", "must_change": False}
    tree = _source(home, "admin@harbor").places
    top = next(place for place in tree.values() if place.depth == 2)
    people = AccessStore.open(home)
    people.add_user("harbor", "unit@harbor", display_name="Uma", role=Role.PROGRAM_MANAGER, unit_ids=(top.id,), **own)
    providers = [key for key in _source(home, "admin@harbor").names("provider") if key != "unknown"]
    people.add_user("harbor", "doctor@harbor", display_name="Dora", role=Role.PROVIDER, provider_id=providers[0], **own)
    return home


def shares_of(source: Source, period: periods.Period) -> dict[str, Any]:
    """Payer class in words to its share of what was billed."""
    asked = MetricQuery(metrics=["payer_mix_billed"], by=["payer_class"], date_from=period.start, date_to=period.end)
    rows = source.reader.query(asked).iter_rows(named=True)
    return {label_of("payer_class", row["payer_class"] or "", {}): row["payer_mix_billed"] for row in rows}


@pytest.mark.parametrize("user", ["admin@harbor", "unit@harbor", "doctor@harbor"])
def test_every_figure_of_a_file_is_the_readers(demo_copy: Home, user: str) -> None:
    source = _source(demo_copy, user)
    period = periods.preset("last_month", source.as_of)
    view, compared = View(period=period), 0
    labels = {metric.label: metric for metric in source.metrics.values()}
    for page in pages_of(source):
        sheets = sheets_of(make(source, page, view, "xlsx").content)
        text = text_of(make(source, page, view, "pdf").content)

        def right(name: str, **where: str) -> Any:
            asked = MetricQuery(metrics=[name], where=where, date_from=period.start, date_to=period.end)
            return source.reader.query(asked)[name][0]

        classes = shares_of(source, period) if page == "payer_mix" else {}
        for label, cell in tiles_of(sheets).items():
            if page == "payer_mix":
                value, unit = classes[label], "percent"
            else:
                value, unit = right(labels[label].name), labels[label].unit
            assert is_same(cell, value), (page, label)
            assert " ".join(fmt.exact(value, unit).split()) in text, (page, label)
            compared += 1
        if "By unit" not in sheets:
            continue
        titles, *lines = sheets["By unit"]
        units = {place.name: place.id for place in source.places.values()}
        for name, *cells in lines:
            for title, cell in zip(titles[1:], cells, strict=True):
                if name != "All" and name not in units:
                    continue
                where = {} if name == "All" else {"service_unit": units[name]}
                value = right(labels[title].name, **where)
                assert is_same(cell, value), (page, name, title)
                assert " ".join(fmt.exact(value, labels[title].unit).split()) in text, (page, name, title)
                compared += 1
    assert compared > 20


def test_two_scopes_have_other_figures_and_an_own_place(source: Callable[[str], Source]) -> None:
    whole, part, other = (source(user) for user in ("admin@harbor", "east@harbor", "admin@mesa"))
    made = {}
    for name, of_person in (("whole", whole), ("part", part), ("other", other)):
        sheets = sheets_of(make(of_person, "revenue_cycle", QUARTER, "xlsx").content)
        billed = tiles_of(sheets)[of_person.metrics["billed_amount"].label]
        asked = MetricQuery(metrics=["billed_amount"], date_from=QUARTER.period.start, date_to=QUARTER.period.end)
        assert is_same(billed, of_person.reader.query(asked)["billed_amount"][0])
        made[name] = billed
        facts = {line[0]: line[1] for line in sheets["Figures"] if line[0] and line[1]}
        assert facts["Organization"] == of_person.tenant_name
        assert facts["Data as of"] == fmt.day(of_person.as_of)
        assert facts["Made for"] == of_person.principal.display_name
        text = text_of(make(of_person, "revenue_cycle", QUARTER, "pdf").content)
        assert f"data as of {fmt.day(of_person.as_of)}" in text
        assert fmt.exact(billed, "usd") in text
    assert len(set(made.values())) == 3
    assert "west" not in str(sheets_of(make(part, "revenue_cycle", QUARTER, "xlsx").content))


def test_a_name_that_looks_like_a_formula_stays_a_text(place: Place) -> None:
    change(place.home, "update warehouse.marts.dim_service_units set name = '=1+1' where service_unit_id = 'east'")
    place.publish()
    close_all()
    content = make(_source(place.home, "admin@harbor"), "revenue_cycle", QUARTER, "xlsx").content
    book = openpyxl.load_workbook(io.BytesIO(content))
    cells = [cell for line in book["By unit"].iter_rows() for cell in line if "1+1" in str(cell.value)]
    assert cells
    assert {(cell.value, cell.data_type) for cell in cells} == {("'=1+1", "s")}
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        parts = [archive.read(name).decode() for name in archive.namelist() if name.endswith(".xml")]
    assert not [part for part in parts if re.search(r"<f[ >]|<hyperlink", part)]
    assert "=1+1" in text_of(make(_source(place.home, "admin@harbor"), "revenue_cycle", QUARTER, "pdf").content)


def test_hidden_figures_stay_hidden(place: Place) -> None:
    place.access.ensure_tenant("harbor", "Harbor", Deidentification(rule="limited", smallest_cell=1000))
    source = _source(place.home, "ceo@harbor")
    asked = MetricQuery(metrics=["billed_amount"], date_from=QUARTER.period.start, date_to=QUARTER.period.end)
    assert source.reader.query(asked)["billed_amount"][0] is None
    sheets = sheets_of(make(source, "revenue_cycle", QUARTER, "xlsx").content)
    billed = source.metrics["billed_amount"].label
    assert tiles_of(sheets).get(billed, fmt.DASH) == fmt.DASH
    titles, *lines = sheets["By unit"]
    assert {line[titles.index(billed)] for line in lines} == {fmt.DASH}
    assert any("fewer than 1000" in str(line[0]) for line in sheets["Figures"])
    text = text_of(make(source, "revenue_cycle", QUARTER, "pdf").content)
    # Balances are of no patient: they are shown beside the dashes.
    assert f"Harbor Health east {fmt.DASH} $" in text
    whole = _source(place.home, "admin@harbor").reader.query(asked)["billed_amount"][0]
    assert fmt.exact(whole, "usd") not in text
    assert "fewer than 1000" in text


def test_a_page_that_a_person_does_not_have_is_refused_and_audited(
    place: Place, source: Callable[[str], Source]
) -> None:
    for user, page in (("desk@harbor", "overview"), ("doctor@harbor", "payer_mix"), ("partner@harbor", "overview")):
        with pytest.raises(AccessError, match="is not available to you"):
            make(source(user), page, QUARTER, "pdf")
        (row, *_) = place.access.audit_rows("harbor", action="report")
        assert (row.actor, row.result, row.detail["page"], row.detail["format"]) == (user, "refused", page, "pdf")


def test_a_place_outside_the_scope_an_unknown_page_and_format_are_refused(
    place: Place, source: Callable[[str], Source]
) -> None:
    with pytest.raises(ConfigurationError, match="not among those you may see"):
        make(source("east@harbor"), "revenue_cycle", QUARTER.moved(place="west"), "xlsx")
    assert place.access.audit_rows("harbor", action="report")[0].result == "refused"
    with pytest.raises(ConfigurationError, match="revenue_cycle"):
        make(source("east@harbor"), "revenue_cycl", QUARTER, "xlsx")
    with pytest.raises(ConfigurationError, match="xlsx, pdf"):
        make(source("east@harbor"), "revenue_cycle", QUARTER, "docx")


def test_each_file_is_one_row_of_the_audit(place: Place, source: Callable[[str], Source]) -> None:
    before = len(place.access.audit_rows("harbor"))
    for file_format in FORMATS:
        make(source("east@harbor"), "revenue_cycle", QUARTER, file_format)
        (row, *_) = place.access.audit_rows("harbor")
        assert (row.action, row.actor, row.result) == ("report", "east@harbor", "done")
        assert row.detail["page"] == "revenue_cycle"
        assert row.detail["format"] == file_format
        assert "billed_amount" in row.detail["metrics"]
    assert len(place.access.audit_rows("harbor")) == before + len(FORMATS)


def test_a_pdf_with_a_password_opens_with_it_alone(source: Callable[[str], Source]) -> None:
    report = contents(source("east@harbor"), PAGES["revenue_cycle"], QUARTER)
    content = document.as_pdf(report, "four quiet herons")
    assert pypdf.PdfReader(io.BytesIO(content)).is_encrypted
    assert pypdf.PdfReader(io.BytesIO(content)).decrypt("other herons") == pypdf.PasswordType.NOT_DECRYPTED
    assert "Revenue cycle" in text_of(content, "four quiet herons")


def test_a_pdf_has_the_name_the_logo_and_the_accent_of_the_organization(
    place: Place, source: Callable[[str], Source]
) -> None:
    plain = document.as_pdf(contents(source("east@harbor"), PAGES["revenue_cycle"], QUARTER))
    picture = io.BytesIO()
    Image.new("RGB", (200, 50), "#7a1f5c").save(picture, format="PNG")
    brand = Brand(display_name="Harbor Group", accent="#7a1f5c")
    set_brand(place.access, "harbor", brand, picture.getvalue(), actor="admin@harbor")
    content = document.as_pdf(contents(source("east@harbor"), PAGES["revenue_cycle"], QUARTER))
    assert "Harbor Group" in text_of(content)
    assert [len(pypdf.PdfReader(io.BytesIO(made)).pages[0].images) for made in (plain, content)] == [0, 1]
    # Nothing of it is in a file of the other organization.
    theirs = document.as_pdf(contents(source("admin@mesa"), PAGES["revenue_cycle"], QUARTER))
    assert "Harbor" not in text_of(theirs)
    assert len(pypdf.PdfReader(io.BytesIO(theirs)).pages[0].images) == 0


@pytest.fixture
def changed_since_close(place: Place) -> Place:
    """A home in which February of harbor was closed and another amount came later."""
    change(place.home, RAW)
    place.publish("run-1")
    close_month(place.home, place.access.principal("harbor", "admin@harbor"), FEBRUARY)
    change(place.home, late("c35", "150.25", 7))
    place.publish("run-2")
    restate(place.home, "harbor", "run-2")
    close_all()
    return place


def test_a_closed_month_that_changed_is_named_as_on_the_page(
    changed_since_close: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Neither the command nor the process that sends mail serves pages.
    monkeypatch.setattr(served_home, "_served", None)
    source = _source(changed_since_close.home, "admin@harbor")
    february = View(period=periods.parse("2026-02-01_2026-02-28", source.as_of))
    (sentence,) = shell.changed_closes(source, february, "revenue_cycle")
    assert sentence.startswith("February 2026 was closed on")
    for view, is_named in ((february, True), (QUARTER, True), (QUARTER.moved(period=MARCH), False)):
        lines = [line[0] for line in sheets_of(make(source, "revenue_cycle", view, "xlsx").content)["Figures"]]
        assert (sentence in lines) is is_named
        assert (sentence in text_of(make(source, "revenue_cycle", view, "pdf").content)) is is_named
    # A payer class alone: the sentence says that it is about all.
    report = contents(source, PAGES["revenue_cycle"], february.moved(payer="medicare"))
    assert any("not only of what is chosen here" in text for text in report.cautions)


def test_an_earlier_version_is_named_and_knows_no_later_change(changed_since_close: Place) -> None:
    home = changed_since_close.home
    principal = changed_since_close.access.principal("harbor", "admin@harbor")
    with open_reader(home, principal, as_of="close:2026-02") as reader:
        source = Source(reader, principal, asked_as_of="close:2026-02")
        view = QUARTER.moved(as_of="close:2026-02")
        lines = sheets_of(make(source, "revenue_cycle", view, "xlsx").content)["Figures"]
        text = text_of(make(source, "revenue_cycle", view, "pdf").content)
    named = "As closed: February 2026"
    assert ["Earlier version", named] in [line[:2] for line in lines]
    assert f"Earlier version: {named}" in text
    assert "was closed on" not in text
    assert "Earlier version" not in text_of(
        make(_source(home, "admin@harbor"), "revenue_cycle", QUARTER, "pdf").content
    )


def test_a_feed_that_stopped_or_was_refused_is_named_as_on_the_page(
    source: Callable[[str], Source], monkeypatch: pytest.MonkeyPatch
) -> None:
    alert = {"feed": "pm", "kind": "stopped", "since": date(2026, 3, 5), "entities": ["charge", "appointment"]}
    refused = {"feed": "edi", "files": 2, "entities": ["remittance"]}
    monkeypatch.setattr(Reader, "alerts", lambda _: pl.DataFrame([alert]))
    monkeypatch.setattr(Reader, "refusals", lambda _: pl.DataFrame([refused]))
    asked = source("east@harbor")
    sentences = shell.gaps(asked, "revenue_cycle", QUARTER.period.end)
    assert [sentence.split(":")[0] for sentence in sentences] == ["Feed pm stopped", "2 files of feed edi were refused"]
    lines = [line[0] for line in sheets_of(make(asked, "revenue_cycle", QUARTER, "xlsx").content)["Figures"]]
    text = text_of(make(asked, "revenue_cycle", QUARTER, "pdf").content)
    for sentence in sentences:
        assert sentence in lines
        assert sentence in text


def test_a_mix_of_payers_says_of_what_it_is(demo_copy: Home) -> None:
    asked = _source(demo_copy, "admin@harbor")
    for basis, label in ((None, "Billed"), ("paid", "Paid by payers"), ("encounters", "Encounters")):
        view = View(period=periods.preset("last_month", asked.as_of), basis=basis)
        lines = sheets_of(make(asked, "payer_mix", view, "xlsx").content)["Figures"]
        assert ["Share of", label] in [line[:2] for line in lines]
        assert f"Share of: {label}" in text_of(make(asked, "payer_mix", view, "pdf").content)
    assert "Share of" not in dict(contents(asked, PAGES["revenue_cycle"], view).facts)


def test_the_command_writes_a_file_or_says_why_not(place: Place, tmp_path: Path) -> None:
    common = ("report", "--home", place.home.path, "--tenant", "harbor", "--as", "east@harbor")
    out = tmp_path / "march.xlsx"
    ran = clinicmart(*common, "--page", "revenue_cycle", "--month", "2026-03", "--out", out)
    assert ran.code == 0, ran.err
    assert "March 2026" in ran.out
    asked = MetricQuery(metrics=["billed_amount"], date_from=date(2026, 3, 1), date_to=date(2026, 3, 31))
    source = _source(place.home, "east@harbor")
    billed = source.reader.query(asked)["billed_amount"][0]
    assert is_same(tiles_of(sheets_of(out.read_bytes()))[source.metrics["billed_amount"].label], billed)
    for wrong, words in (
        (("--page", "revenue_cycle", "--out", tmp_path / "a.docx"), ".xlsx or .pdf"),
        (("--page", "payer_mixes", "--out", tmp_path / "a.pdf"), "payer_mix"),
        (("--page", "revenue_cycle", "--place", "west", "--out", tmp_path / "a.pdf"), "not among those you may see"),
    ):
        ran = clinicmart(*common, *wrong)
        assert ran.code == 2
        assert words in ran.err
    assert not (tmp_path / "a.pdf").exists()


def test_the_command_takes_the_periods_of_the_pages() -> None:
    assert tuple(periods.PRESETS) == PERIODS


def test_pages_of_figures_have_the_buttons(page: Callable[..., Any], reader: Any) -> None:
    test = page("no_show")
    labels = [button.label for button in test.get("download_button")]
    assert labels == ["Excel", "PDF"]
    assert not page("data_health").get("download_button")
