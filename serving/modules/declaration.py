"""The declaration of one module and its pages. All of the product reads it."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Page:
    """A page of figures.

    `key` is in its address, `title` in the navigation bar. `tiles` are the metrics of its tiles and `table` those of its table, in
    order; `lead` is the metric of its heading. `more` are further metrics: the page reports their changes after a month was closed.
    `entities` are the contracts whose rows the figures count: if a feed with such rows stops, the page shows it. Entities are
    declared, not read from dbt's lineage: there every mart depends on every feed, since any feed may name a provider.
    """

    key: str
    title: str
    lead: str
    tiles: tuple[str, ...]
    table: tuple[str, ...] = ()
    more: tuple[str, ...] = ()
    entities: tuple[str, ...] = ()

    @property
    def figures(self) -> tuple[str, ...]:
        """Every metric of the page once, the lead first. A change of one after a close is reported."""
        return tuple(dict.fromkeys((self.lead, *self.tiles, *self.table, *self.more)))


@dataclass(frozen=True, kw_only=True)
class Module:
    """A part of the product that a tenant's plan grants.

    `serving.people.rights` says which roles hold it. `is_granted` is the default for a tenant whose plan does not name it.
    `has_metrics`: metrics may belong to it (`meta.module` of their definitions). `is_about_money`: its facts hold the same money as
    those of other such modules, so that a change of one may explain a change of the other.
    """

    name: str
    title: str
    pages: tuple[Page, ...] = ()
    is_granted: bool = True
    is_always_on: bool = False
    has_metrics: bool = False
    is_about_money: bool = False
