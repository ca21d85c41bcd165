"""Which pages of figures a person has."""

from dashboards.data import Source
from serving.modules import MODULES, PAGES
from serving.people.rights import ROLES

_MODULE_OF = {page.key: module.name for module in MODULES for page in module.pages}


def has_figures_of(source: Source, page: str) -> bool:
    """Whether the tenant has the module of a page of figures, and the person figures of it. The overview belongs to no module."""
    module = _MODULE_OF.get(page)
    return module is None or module in source.modules


def pages_of(source: Source) -> tuple[str, ...]:
    """Keys of the pages of figures that a person has: by the role, and by what there is to show."""
    return tuple(page for page in PAGES if page in ROLES[source.principal.role].pages and has_figures_of(source, page))
