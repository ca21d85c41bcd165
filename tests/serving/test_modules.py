"""What modules declare holds: metrics, contracts and roles exist, and everything that reads the declarations agrees."""

from pathlib import Path

import pytest
import yaml

from dashboards import closed_notice
from dashboards.pages import ALL
from data_contracts import load_contracts
from foundation.errors import AccessError
from serving.modules import MODULES, MODULES_BY_NAME, PAGES
from serving.modules.entities import NOUNS
from serving.people.rights import ROLES
from serving.people.store import AccessStore
from serving.people.tables import MODULE

MARTS = Path(__file__).parents[2] / "dbt" / "models" / "marts"


@pytest.fixture(scope="module")
def module_of_metric() -> dict[str, str]:
    """Public metric to the module of its definition."""
    metrics = [
        metric
        for path in MARTS.rglob("*.yml")
        for metric in yaml.safe_load(path.read_text("utf-8")).get("metrics") or ()
    ]
    meta = {metric["name"]: (metric.get("config") or {}).get("meta") or {} for metric in metrics}
    return {name: told["module"] for name, told in meta.items() if told.get("unit")}


@pytest.mark.parametrize("key", PAGES)
def test_a_page_shows_public_metrics_and_rests_on_contracts(key: str, module_of_metric: dict[str, str]) -> None:
    page = PAGES[key]
    assert set(page.figures) <= set(module_of_metric)
    assert page.lead in page.tiles
    assert len(set(page.tiles)) == len(page.tiles)
    assert set(page.entities) <= set(load_contracts())
    assert set(page.entities) <= set(NOUNS), "there is a word for every entity"
    assert page.entities, "a page of figures says of feeds that stopped"


def test_every_metric_is_of_a_module_that_may_have_some(module_of_metric: dict[str, str]) -> None:
    assert set(module_of_metric.values()) <= {module.name for module in MODULES if module.has_metrics}


def test_tiles_of_a_modules_page_are_metrics_of_modules_that_its_roles_hold(module_of_metric: dict[str, str]) -> None:
    for module in MODULES:
        for page in module.pages:
            assert module_of_metric[page.lead] == module.name


def test_roles_hold_modules_and_pages_that_there_are(module_of_metric: dict[str, str]) -> None:
    module_of_page = {page.key: module.name for module in MODULES for page in module.pages}
    for role, rule in ROLES.items():
        assert set(rule.modules) <= set(MODULES_BY_NAME), role
        assert set(rule.metrics) <= set(module_of_metric), role
        assert set(rule.pages) <= {page.key for page in ALL}, role
        # A page of figures and its module are held together.
        assert {key for key in rule.pages if key in module_of_page} == {
            key for key, module in module_of_page.items() if module in rule.modules
        }, role
    held = {name for rule in ROLES.values() for name in rule.modules}
    assert held == set(MODULES_BY_NAME), "a module that no role holds is for nobody"
    assert {key for rule in ROLES.values() for key in rule.pages} == {page.key for page in ALL}


def test_every_page_stands_in_the_navigation_under_its_name() -> None:
    shown = {page.key: page.title for page in ALL if page.has_pickers and page.key in PAGES}
    assert shown == {key: page.title for key, page in PAGES.items()}


def test_a_change_of_any_tile_after_a_close_is_told() -> None:
    for page in PAGES.values():
        assert set(page.tiles) | set(page.table) <= set(closed_notice.figures_of(page.key))


def test_a_module_without_a_row_is_granted_as_plans_grant_it_by_default(tmp_path: Path) -> None:
    from foundation.home import Home

    store = AccessStore.open(Home.at(tmp_path))
    store.ensure_tenant("harbor", "Harbor")
    whole = store.policy("harbor").modules
    with store._writing() as connection:  # as a home has it that was made before the module was
        connection.execute(MODULE.delete().where(MODULE.c.module == "forecasts"))
    assert store.policy("harbor").modules == whole
    store.set_module("harbor", "forecasts", granted=False, actor="admin@harbor")
    assert whole - store.policy("harbor").modules == {"forecasts"}
    assert ("forecasts", False, True) in store.modules("harbor")
    with pytest.raises(AccessError):
        store.set_module("nobody", "forecasts", granted=False, actor="admin@harbor")
