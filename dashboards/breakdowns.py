"""Where a figure comes from: its values by a dimension, now and before, and where a click leads."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from dashboards import figures, maturity
from dashboards import format as fmt
from dashboards.chance import Verdict
from dashboards.data import UNKNOWN, Place, Source
from dashboards.filters import hashable, label_of
from dashboards.view import URL_NAMES, View

OTHERS = "All others"


@dataclass(frozen=True)
class Member:
    """One member of a dimension with its values by metric. `moves` are the changes of the view on a click."""

    id: str
    name: str
    now: Mapping[str, Any]
    before: Mapping[str, Any] = field(default_factory=dict)
    moves: Mapping[str, Any] = field(default_factory=dict)

    def verdict(self, source: Source, metric: str) -> Verdict:
        """Whether the change of a metric is more than chance; amounts and means of a member are not tested."""
        return figures.judge(
            source.metrics[metric], self.now.get(metric), self.before.get(metric), self.base(source, metric)
        )

    def base(self, source: Source, metric: str) -> figures.Base | None:
        """The denominator of a rate in this breakdown."""
        return figures.base_of(source, source.metrics[metric], self.now, self.before)

    def change(self, source: Source, metric: str, against: str, *, moving: bool = False) -> fmt.Change:
        """The change of a metric; one that is still `moving` is not compared."""
        if moving:
            return fmt.Change("", maturity.NOT_SETTLED, "none", "flat")
        definition = source.metrics[metric]
        verdict = self.verdict(source, metric)
        return fmt.change(
            self.now.get(metric),
            self.before.get(metric),
            definition.unit,
            definition.direction,
            against,
            verdict=verdict,
        )


@dataclass(frozen=True)
class Level:
    """The members one level below a place: service units, else providers, else visit types. `noun` names one of them; `at` is the
    unit above them, None for the top units of the scope."""

    dimension: str
    noun: str
    members: tuple[Member, ...]
    at: str | None = None

    @property
    def preposition(self) -> str:
        """Encounters fell in a unit, but with a provider."""
        return "with" if self.dimension == "provider" else "in"

    @property
    def plural(self) -> str:
        return f"{self.noun}s"


def _values(frame: pl.DataFrame, dimension: str, metrics: Sequence[str]) -> dict[str, dict[str, Any]]:
    return {
        str(row[dimension] if row[dimension] is not None else ""): {name: row[name] for name in metrics}
        for row in frame.iter_rows(named=True)
    }


def _names(frame: pl.DataFrame, dimension: str) -> dict[str, str]:
    column = f"{dimension}_name"
    if column not in frame.columns:
        return {}
    return {str(key): name for key, name in zip(frame[dimension], frame[column], strict=True) if name}


def by_dimension(
    source: Source,
    view: View,
    metrics: Sequence[str],
    dimension: str,
    *,
    where: Mapping[str, Any] | None = None,
    before: bool = True,
) -> list[Member]:
    """Values of the metrics by one dimension, the largest of the first metric first.

    Metrics that are not there for this person, or do not know the dimension or a filter, are left out.
    """
    names: dict[str, str] = {}
    now: dict[str, dict[str, Any]] = {}
    earlier: dict[str, dict[str, Any]] = {}
    named_members = [
        name
        for name in figures.with_bases(source, metrics)
        if figures.knows(source.metrics.get(name), dimension.removesuffix("_children"))
    ]
    for filters_of, group in _same_filters(source, view, named_members, where).items():
        current = source.query(
            group, by=[dimension], where=dict(filters_of), start=view.period.start, end=view.period.end
        )
        names |= _names(current, dimension)
        for key, values in _values(current, dimension, group).items():
            now.setdefault(key, {}).update(values)
        if before:
            compared = source.query(
                group, by=[dimension], where=dict(filters_of), start=view.compared.start, end=view.compared.end
            )
            names = _names(compared, dimension) | names
            for key, values in _values(compared, dimension, group).items():
                earlier.setdefault(key, {}).update(values)
    members = []
    for key in dict.fromkeys([*now, *earlier]):
        name = label_of(dimension, key, names)
        if dimension == "service_unit" and source.children(key):
            name = of_unit_itself(name)
        members.append(Member(key, name, now.get(key, {}), earlier.get(key, {}), moves_to(dimension, key)))
    return sorted(members, key=lambda member: _rank(member, metrics[0]))


def moves_to(dimension: str, value: str) -> dict[str, Any]:
    """The changes that narrow a view to one value of a dimension; empty if the URL has no name for the dimension, or rows have no
    value."""
    name = {"payer_class": "payer", "provider": "provider"}.get(dimension) or URL_NAMES.get(dimension, "")
    return {name: value} if name and value else {}


def _rank(member: Member, metric: str) -> tuple[bool, Any, str]:
    value = member.now.get(metric)
    return (value is None, -fmt.decimal(value) if value is not None else 0, member.name)


def _same_filters(
    source: Source, view: View, names: Sequence[str], where: Mapping[str, Any] | None
) -> dict[tuple[tuple[str, Any], ...], list[str]]:
    groups: dict[tuple[tuple[str, Any], ...], list[str]] = {}
    for name in names:
        metric_filters = figures.filters(view, source.metrics[name])
        if metric_filters is not None:
            groups.setdefault(hashable({**metric_filters, **(where or {})}), []).append(name)
    return groups


def below(source: Source, view: View, metrics: Sequence[str]) -> Level:
    """One level down from the view: the units below the place, at the lowest unit its providers, below one provider
    its visit types. Their sum is the figure of the view."""
    asked = [name for name in dict.fromkeys(metrics) if name in source.metrics]
    if view.provider:
        return Level("visit_type", "visit type", tuple(by_dimension(source, view, asked, "visit_type")))
    at = view.place or (source.root.id if source.root else None)
    if at is None and source.tops:
        return Level(
            "service_unit", "unit", (*_units(source, view, asked, source.tops), *_unplaced(source, view, asked))
        )
    if at is not None and source.children(at):
        members = by_dimension(source, view, asked, "service_unit_children", where={"service_unit": at})
        placed = [_placed(source, member, at) for member in members]
        return Level("service_unit", "unit", (*placed, *_unplaced(source, view, asked)), at)
    members = by_dimension(source, view, asked, "provider")
    return Level("provider", "provider", tuple(members))


def of_unit_itself(name: str) -> str:
    """The name of the rows of a unit that belong to none of the units below it."""
    return f"{name}, not further assigned"


def band_order(band: str) -> tuple[bool, int, str]:
    """Sorts bands such as `8 to 14` by their first number, those without one last."""
    digits = "".join(character if character.isdigit() else " " for character in band).split()
    return (not digits, int(digits[0]) if digits else 0, band)


def _placed(source: Source, member: Member, at: str) -> Member:
    """A child unit with its way down; what belongs to the unit itself says so and leads nowhere."""
    if member.id == at:
        return Member(member.id, of_unit_itself(member.name), member.now, member.before)
    place = source.places.get(member.id)
    if place is None:
        return member
    moves = {"place": member.id, "provider": None}
    return Member(member.id, place.name, member.now, member.before, moves)


def _unplaced(source: Source, view: View, metrics: Sequence[str]) -> list[Member]:
    """Rows that name no unit, as a separate member at the top, where there are any: else the parts would not add up."""
    unknown = source.places.get(UNKNOWN)
    if view.place or unknown is None:
        return []
    return [m for m in _units(source, view, metrics, [unknown]) if any(m.now.values()) or any(m.before.values())]


def _units(source: Source, view: View, metrics: Sequence[str], places: Sequence[Place]) -> list[Member]:
    """Units that may lie anywhere in the tree, each with its own figures."""
    members = []
    for place in places:
        asked = figures.with_bases(source, metrics)
        loaded = figures.load(source, view.moved(place=place.id), asked, trend=False)
        members.append(
            Member(
                place.id,
                place.name,
                {name: figure.value for name, figure in loaded.items()},
                {name: figure.before for name, figure in loaded.items()},
                {"place": place.id, "provider": None},
            )
        )
    return sorted(members, key=lambda member: _rank(member, metrics[0])) if metrics else members


def crossed(source: Source, view: View, level: Level, metric: str, dimension: str) -> dict[tuple[str, str], Any]:
    """A metric by the members of a level and another dimension: (member's id, value of the dimension) to the figure."""
    start, end = view.period.start, view.period.end
    where = figures.filters(view, source.metrics[metric])
    if where is None:
        return {}
    if level.dimension == "service_unit" and level.at is None:
        values: dict[tuple[str, str], Any] = {}
        for member in level.members:
            frame = source.query(
                [metric], by=[dimension], where={**where, "service_unit": member.id}, start=start, end=end
            )
            values |= {(member.id, row[dimension] or ""): row[metric] for row in frame.iter_rows(named=True)}
        return values
    by = level.dimension
    if level.at is not None:
        by, where = "service_unit_children", {**where, "service_unit": level.at}
    if not figures.knows(source.metrics[metric], level.dimension, dimension):
        return {}
    frame = source.query([metric], by=[by, dimension], where=where, start=start, end=end)
    return {(row[by] or "", row[dimension] or ""): row[metric] for row in frame.iter_rows(named=True)}


def folded(members: Sequence[Member], metric: str, most: int) -> list[Member]:
    """At most so many members of an amount or count; the rest added up as one."""
    if len(members) <= most:
        return list(members)
    kept, others = list(members[: most - 1]), members[most - 1 :]

    def total(side: str) -> Any:
        amounts = [fmt.decimal(value) for value in (getattr(m, side).get(metric) for m in others) if value is not None]
        return sum(amounts) if amounts else None

    names = {name for member in others for name in member.moves}
    moves = {names.pop(): [value for member in others for value in member.moves.values()]} if len(names) == 1 else {}
    return [*kept, Member("", f"{OTHERS} ({len(others)})", {metric: total("now")}, {metric: total("before")}, moves)]
