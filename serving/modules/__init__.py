"""The modules of the product, one file each.

Everything that depends on the modules reads them from here: plans, roles, navigation, tiles and tables of pages, the figures
compared after a month is closed, the notices of stopped feeds, warm-up, generated docs and the doubles of tests.

    MODULES             every module, in the product's order
    MODULES_BY_NAME     the same by name
    PAGES               every page of figures by its key, the overview first
"""

from collections.abc import Mapping
from types import MappingProxyType

from serving.modules import credentialing, no_show, overview, payer_mix, revenue_cycle, throughput, without_pages
from serving.modules.declaration import Module, Page

__all__ = ["MODULES", "MODULES_BY_NAME", "PAGES", "Module", "Page"]

MODULES: tuple[Module, ...] = (
    revenue_cycle.MODULE,
    throughput.MODULE,
    no_show.MODULE,
    payer_mix.MODULE,
    credentialing.MODULE,
    *without_pages.MODULES,
)
MODULES_BY_NAME: Mapping[str, Module] = MappingProxyType({module.name: module for module in MODULES})
PAGES: Mapping[str, Page] = MappingProxyType(
    {page.key: page for page in (overview.PAGE, *(page for module in MODULES for page in module.pages))}
)
