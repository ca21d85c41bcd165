"""The pages over the whole demo, in a browser: what is read off a page is what the reader answers."""

import base64
import re
import socket
from datetime import date
from decimal import Decimal

import pytest

from dashboards import format as fmt
from serving.model import MetricQuery

pytestmark = [pytest.mark.browser, pytest.mark.slow]

QUARTER = {"date_from": date(2026, 7, 1), "date_to": date(2026, 9, 30)}
PAGES = {
    "": (
        "Overview",
        [
            "net_collection_rate",
            "days_in_ar",
            "denial_rate",
            "ar_over_90_rate",
            "no_show_rate",
            "completed_appointments",
            "wait_time_minutes",
        ],
    ),
    "revenue_cycle": ("Revenue cycle", ["billed_amount", "denial_rate", "days_in_ar", "ar_over_90_rate"]),
    "throughput": ("Throughput", ["encounters", "cycle_time_minutes", "bed_occupancy_rate", "length_of_stay_days"]),
    "no_show": ("No-show", ["no_show_rate", "no_shows", "late_cancel_rate", "lead_time_days"]),
    "payer_mix": ("Payer mix", []),
    "data_health": ("Data health", []),
}


def answer(reader, metric, **where):
    return reader.query(MetricQuery(metrics=[metric], where=where, **QUARTER))[metric][0]


def unit_of(reader, metric):
    return next(item.unit for item in reader.metrics() if item.name == metric)


def settled(tab):
    """Waits until the page is drawn: its head is there and the run that draws it is over."""
    tab.wait_for_selector(".cm-head h1")
    tab.wait_for_function("document.querySelector('.stApp').dataset.testScriptState === 'notRunning'")


def tile(tab, metric):
    tab.wait_for_selector(f'[data-metric="{metric}"]')
    parts = tab.locator(f'[data-metric="{metric}"] .cm-value').evaluate(
        "p => [p.children[0].innerText, p.children[1].innerText]"
    )
    return fmt.Parts(*parts).text


def crumbs(tab):
    return tab.locator(".cm-crumbs li").all_inner_texts()


def wait_for_place(tab, name):
    tab.wait_for_function("name => document.querySelector('.cm-crumbs li[aria-current]')?.innerText === name", arg=name)
    settled(tab)


@pytest.mark.parametrize("key", PAGES)
def test_every_page_says_what_the_reader_answers(tab, site, reader, picture, key):
    title, metrics = PAGES[key]
    tab.goto(f"{site.of('harbor')}/{key}")
    settled(tab)
    tab.wait_for_function("title => document.title.startsWith(title)", arg=title)
    for metric in metrics:
        assert tile(tab, metric) == fmt.short(answer(reader, metric), unit_of(reader, metric)), metric
    assert tab.locator(".cm-state", has_text="could not be drawn").count() == 0
    assert picture(tab, key or "overview").stat().st_size > 20_000


def test_the_overview_stands_on_one_screen_and_each_of_its_figures_is_the_readers(tab, site, reader):
    tab.set_viewport_size({"width": 1440, "height": 900})
    tab.goto(f"{site.of('harbor')}/")
    settled(tab)
    assert tab.evaluate("document.querySelector('[data-testid=stMain]').scrollHeight") <= 900
    by_unit = {"by": ["service_unit_children"], "where": {"service_unit": "ORG"}, **QUARTER}
    names = ["denial_rate", "no_show_rate", "days_in_ar", "completed_appointments"]
    wanted = reader.query(MetricQuery(metrics=names, **by_unit)).rows(named=True)
    wanted = {row["service_unit_children_name"]: row for row in wanted}
    rows = tab.locator(".cm-units tbody tr").all()
    assert len(rows) >= 3
    for row in rows:
        values = wanted[row.locator("th").inner_text().strip()]
        shown = [cell.inner_text().replace(fmt.NARROW, " ") for cell in row.locator("td > b").all()]
        assert shown == [fmt.short(values[name], unit_of(reader, name)).replace(fmt.NARROW, " ") for name in names]
    # The parts of the waterfall lead from one figure to the other.
    tab.click(".cm-why summary")
    parts = [cell.inner_text() for cell in tab.locator(".cm-why tbody td").all()]
    numbers = [Decimal(re.sub(r"[$,]", "", part)) for part in parts]
    assert sum(numbers[:-1]) == numbers[-1]
    metric = "denied_claims" if "claims" in tab.inner_text(".cm-why h2") else "denied_billed_amount"
    assert parts[-1] == fmt.exact(answer(reader, metric), unit_of(reader, metric))


def test_the_table_of_units_is_exact_and_adds_up(tab, site, reader):
    tab.goto(f"{site.of('harbor')}/no_show")
    settled(tab)
    rows = tab.locator(".st-key-cm_level tbody tr").all()
    shown = {row.locator("th").inner_text().strip(): row.locator("td").nth(1).inner_text() for row in rows}
    wanted = reader.query(
        MetricQuery(
            metrics=["no_shows", "appointments"], by=["service_unit_children"], where={"service_unit": "ORG"}, **QUARTER
        )
    )
    for row in wanted.filter(wanted["appointments"] > 0).iter_rows(named=True):
        assert shown[row["service_unit_children_name"]] == fmt.exact(row["no_shows"], "count")
    total = tab.locator(".st-key-cm_level tfoot td").nth(1).inner_text()
    assert total == fmt.exact(answer(reader, "no_shows"), "count")
    assert sum(int(value.replace(",", "")) for value in shown.values()) == int(total.replace(",", ""))


def test_drilling_goes_from_the_organization_to_a_provider_and_back(tab, site, reader):
    tab.goto(f"{site.of('harbor')}/no_show")
    settled(tab)
    names = dict(reader.tree().select("name", "service_unit_id").iter_rows())
    path = [tab.locator(".cm-crumbs li").first.inner_text()]
    for _ in range(6):
        link = tab.locator(".st-key-cm_level .cm-go").first
        name = link.inner_text().strip()
        link.click()
        wait_for_place(tab, name)
        path.append(name)
        if "provider=" in tab.url:
            break
        assert f"place={names[name]}" in tab.url
        assert tile(tab, "no_shows") == fmt.short(answer(reader, "no_shows", service_unit=names[name]), "count")
    assert crumbs(tab) == path
    provider = re.search(r"provider=([^&]+)", tab.url)[1]
    place = re.search(r"place=([^&]+)", tab.url)[1]
    assert tile(tab, "no_shows") == fmt.short(
        answer(reader, "no_shows", service_unit=place, provider=provider), "count"
    )
    for name in reversed(path[1:-1]):
        tab.go_back()
        wait_for_place(tab, name)
    tab.click("text=Throughput >> nth=0")
    tab.wait_for_function("document.title.startsWith('Throughput')")
    wait_for_place(tab, path[1])
    assert tile(tab, "encounters") == fmt.short(answer(reader, "encounters", service_unit=names[path[1]]), "count")


def passport(tab):
    """(name, figure) of the open drawer, once it is drawn."""
    tab.wait_for_selector(".cm-pass-head")
    tab.wait_for_function("document.querySelector('.stApp').dataset.testScriptState === 'notRunning'")
    parts = tab.locator(".cm-pass-head .cm-value").evaluate("p => [p.children[0].innerText, p.children[1].innerText]")
    return tab.inner_text(".cm-pass-head h2"), fmt.Parts(*parts).text


def close_passport(tab):
    tab.keyboard.press("Escape")
    tab.wait_for_selector(".cm-pass-head", state="detached")
    tab.wait_for_function("!location.search.includes('figure=')")


def test_a_click_on_a_bar_opens_its_passport_and_leads_one_level_down(tab, site, reader):
    tab.goto(f"{site.of('harbor')}/no_show")
    settled(tab)
    chart = tab.locator("[class*='st-key-cm_units']").first
    bar = chart.locator("path[fill='#9aa5ae'], path[fill='#0f5f8c']").first
    bar.click()
    name, shown = passport(tab)
    assert name == "No-show rate"
    tab.wait_for_function("location.search.includes('at=place')")
    place = re.search(r"at=place%3D(\w+)", tab.evaluate("location.search"))[1]
    assert shown == fmt.short(answer(reader, "no_show_rate", service_unit=place), "percent")
    close_passport(tab)
    # The same bar again, and back closes it.
    bar.click()
    assert passport(tab) == (name, shown)
    tab.go_back()
    tab.wait_for_selector(".cm-pass-head", state="detached")
    bar.click()
    passport(tab)
    tab.click("text=Show the page for this")
    tab.wait_for_function("location.search.includes('?place=')")
    # The address changes before the page is drawn.
    tab.wait_for_function("document.querySelectorAll('.cm-crumbs li').length === 2")
    settled(tab)
    assert tile(tab, "no_show_rate") == shown


def test_the_rows_in_the_drawer_are_the_figure(tab, site, reader):
    tab.goto(f"{site.of('harbor')}/no_show?place=BU1")
    settled(tab)
    tab.click('[data-metric="no_shows"] h3 button')
    count = answer(reader, "no_shows", service_unit="BU1")
    assert passport(tab) == ("No-shows", fmt.short(count, "count"))
    tab.wait_for_selector(".cm-rows-note")
    assert tab.inner_text(".cm-rows-note").startswith(fmt.plural(count, "row"))
    assert tab.locator(".cm-rows-block tbody tr").count() == min(count, 25)
    if count > 25:
        tab.click(".cm-pager >> text=Next")
        tab.wait_for_function("document.querySelector('.cm-pager span').innerText.startsWith('Page 2')")
        assert tab.locator(".cm-rows-block tbody tr").count() == min(count - 25, 25)


def test_a_definition_is_one_click_away(tab, site, reader):
    tab.goto(f"{site.of('harbor')}/no_show")
    settled(tab)
    tab.click('[data-metric="no_show_rate"] summary')
    text = tab.inner_text('[data-metric="no_show_rate"] .cm-definition > div')
    metric = next(item for item in reader.metrics() if item.name == "no_show_rate")
    assert metric.description in text
    assert metric.numerator in text
    assert metric.denominator in text


def test_the_pickers_stay_as_they_are_between_pages(tab, site, reader):
    tab.goto(f"{site.of('harbor')}/no_show?period=last_month&payer=medicaid&compare=year")
    settled(tab)
    tab.click("text=Revenue cycle >> nth=0")
    tab.wait_for_function("document.title.startsWith('Revenue cycle')")
    settled(tab)
    assert {"period=last_month", "payer=medicaid", "compare=year"} <= set(tab.url.partition("?")[2].split("&"))
    october = {"date_from": date(2026, 10, 1), "date_to": date(2026, 10, 31)}
    frame = reader.query(MetricQuery(metrics=["billed_amount"], where={"payer_class": "medicaid"}, **october))
    assert tile(tab, "billed_amount") == fmt.short(frame["billed_amount"][0], "usd")


def test_dark_ground_has_the_same_page(chromium, site, signed_in, picture):
    context = chromium.new_context(
        bypass_csp=True, storage_state=signed_in, color_scheme="dark", viewport={"width": 1440, "height": 1000}
    )
    tab = context.new_page()
    tab.goto(f"{site.of('harbor')}/")
    settled(tab)
    tab.wait_for_function(
        "getComputedStyle(document.documentElement).getPropertyValue('--cm-ground').trim() === '#10181f'"
    )
    picture(tab, "overview-dark")
    context.close()


def test_a_page_works_under_its_own_content_policy(chromium, site, signed_in):
    context = chromium.new_context(storage_state=signed_in, viewport={"width": 1440, "height": 1000})
    tab, problems = context.new_page(), []
    tab.on("pageerror", lambda error: problems.append(str(error)))
    tab.on(
        "console", lambda message: problems.append(message.text) if "Content Security Policy" in message.text else None
    )
    tab.goto(f"{site.of('harbor')}/no_show")
    tab.wait_for_selector('[data-metric="no_show_rate"] .cm-value')
    tab.wait_for_selector("[class*='st-key-cm_units'] path[fill='#0f5f8c']", state="attached")
    context.close()
    assert problems == []


def test_a_page_prints_on_few_sheets_without_pickers(tab, site, tmp_path):
    tab.goto(f"{site.of('harbor')}/no_show")
    settled(tab)
    tab.emulate_media(media="print")
    assert not tab.locator(".st-key-cm_bar").is_visible()
    assert not tab.locator(".st-key-cm_nav").is_visible()
    tab.pdf(path=str(tmp_path / "page.pdf"), prefer_css_page_size=True, print_background=True)
    sheets = re.findall(rb"/Type\s*/Page(?!s)", (tmp_path / "page.pdf").read_bytes())
    assert 1 <= len(sheets) <= 5


def test_no_bit_of_streamlits_own_chrome_is_seen(tab, site):
    tab.goto(f"{site.of('harbor')}/")
    settled(tab)
    for place in ("stMainMenu", "stAppDeployButton", "stToolbar", "stSidebar", "stDecoration", "stStatusWidget"):
        assert not tab.locator(f'[data-testid="{place}"]').first.is_visible()


def test_the_printed_one_time_password_leads_to_an_own_one(chromium, site, demo_passwords, picture):
    context = chromium.new_context(bypass_csp=True, viewport={"width": 1440, "height": 1000})
    tab = context.new_page()
    tab.goto(f"{site.of('mesa')}/")
    tab.wait_for_selector("#email")
    assert "Sign in to" in tab.inner_text("h1")
    tab.fill("#email", "admin@mesa")
    tab.fill("#password", demo_passwords["mesa"])
    tab.click("button[type=submit]")
    tab.wait_for_url("**/password")
    context.close()


def test_a_session_does_not_fit_another_tenants_address(chromium, site, signed_in):
    cookies = [{**cookie, "domain": "mesa.localhost"} for cookie in signed_in["cookies"]]
    context = chromium.new_context(bypass_csp=True)
    context.add_cookies(cookies)
    tab = context.new_page()
    refused = tab.goto(f"{site.of('mesa')}/")
    assert refused.status == 403
    assert "another organization" in tab.inner_text("body")
    context.close()


def test_signing_out_closes_the_pages(chromium, site, user, password, signed_in):
    context = chromium.new_context(bypass_csp=True, viewport={"width": 1440, "height": 1000})
    tab = context.new_page()
    tab.goto(f"{site.address}/signin")
    tab.fill("#email", user)
    tab.fill("#password", password)
    tab.click("button[type=submit]")
    settled(tab)
    tab.click(".st-key-cm_person button")
    tab.click(".cm-signout button")
    tab.wait_for_selector("#email")
    tab.goto(f"{site.address}/no_show")
    tab.wait_for_selector("#email")
    context.close()


def test_the_socket_is_refused_before_it_opens_without_a_session(site, reader):
    key = base64.b64encode(b"0123456789abcdef").decode()
    request = (
        f"GET /_stcore/stream HTTP/1.1\r\nHost: localhost:{site.port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", site.port), timeout=10) as connection:
        connection.sendall(request.encode())
        assert connection.recv(64).startswith(b"HTTP/1.1 403")
