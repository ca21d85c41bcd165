"""A person's annotations: which are seen, who may write and change them, and those that follow from the published data.

annotations = reader.annotations
annotations.standing()        what people wrote, as far as the person may see it
annotations.automatic()       gaps of feeds and moves of service units; never stored
restatements(changes)         the same for figures that changed after their month was closed
"""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import cached_property
from typing import NoReturn

from foundation.errors import AccessError, ConfigurationError
from foundation.home import Home
from serving.audited import REFUSED, Note, refusals_noted
from serving.closed_months.view import Change
from serving.metrics.answers import Metrics
from serving.model import Version
from serving.modules import PAGES
from serving.people.annotations import Annotation, Annotations
from serving.people.principal import Principal
from serving.people.rights import ROLES
from serving.people.shown import Saw
from serving.people.targets import WHOLE
from serving.versions.health import published_gaps

LONGEST_SENTENCE = 200
MOST_DAYS = 366
# Numbers of records, telephones and the like may lead to a patient.
_TELLING_NUMBER = re.compile(r"\d{6,}|\d{3}[-. ]\d{2,3}[-. ]\d{4}")
# What an automatic annotation is about.
FEED_GAP, RESTATEMENT, UNIT_MOVED = "feed gap", "restatement", "unit moved"
_GAPS = {"stopped": "stopped", "short": "brings less than it should", "missing": "brought nothing"}
_MOVES = """\
select * from (
    select service_unit_id, name, valid_from, parent_service_unit_id, path,
        lag(parent_service_unit_id) over by_unit as parent_before,
        lag(path) over by_unit as path_before
    from warehouse.marts.dim_service_unit_versions
    window by_unit as (partition by service_unit_id order by valid_from)
)
where path_before is not null and parent_before is distinct from parent_service_unit_id
order by valid_from, service_unit_id"""


@dataclass(frozen=True, kw_only=True)
class Automatic:
    """An annotation that follows from the published data. `kind` is FEED_GAP, RESTATEMENT or UNIT_MOVED.

    `pages` are the keys of the pages whose figures it concerns, `metrics` the names of the figures; empty means all. It is about
    `service_unit_id` (WHOLE for the tenant), and concerns the units of `above` too: those above it, before and after a move.
    """

    kind: str
    sentence: str
    first_day: date
    last_day: date
    pages: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()
    service_unit_id: str = WHOLE
    above: tuple[str, ...] = ()


class ScopedAnnotations:
    """The annotations of one tenant for one person. Every look and every refusal is audited, without the sentences."""

    def __init__(
        self,
        *,
        home: Home,
        version: Version,
        metrics: Metrics,
        kept: Annotations,
        principal: Principal,
        note: Note,
        saw: Saw,
    ) -> None:
        self._home, self._version, self._metrics = home, version, metrics
        self._kept, self._principal, self._note, self._saw = kept, principal, note, saw
        self._role = ROLES[principal.role]

    # What is seen

    @property
    def may_read(self) -> bool:
        """Whether the person's role reads annotations: every role that sees figures, but a referral partner."""
        return self._role.sees_annotations

    def standing(self) -> tuple[Annotation, ...]:
        """What people wrote about units in the person's scope or above it, and about pages and figures that the person has; by first
        day. Raises AccessError for a role that reads none."""
        self._check_reads()
        seen = tuple(annotation for annotation in self._kept.standing() if self._is_seen(annotation))
        if seen:
            self._saw("annotations", {"annotations": len(seen)})
        return seen

    def versions(self) -> tuple[Annotation, ...]:
        """Every version, also of removed annotations, in the order in which they were written. Raises AccessError, audited, for
        everybody but an administrator."""
        if not self._role.administers:
            self._refuse("annotations", {"history": True}, "only an administrator sees earlier versions of annotations")
        versions = self._kept.versions()
        self._saw("annotations", {"annotations": len(versions), "history": True})
        return versions

    def automatic(self) -> tuple[Automatic, ...]:
        """Gaps of feeds and moves of service units, by first day; the same for everybody who sees the units. Raises AccessError for a
        role that reads no annotations."""
        self._check_reads()
        return tuple(sorted((*self._gaps(), *self._moves()), key=lambda item: (item.first_day, item.sentence)))

    def path(self, service_unit: str) -> tuple[str, ...]:
        """Ids from the top of the tenant's tree to a unit in the person's scope or above it. Raises AccessError for another unit."""
        for path in self._metrics.data.units["path"]:
            steps = tuple(path.strip("/").split("/"))
            if service_unit in steps:
                return steps[: steps.index(service_unit) + 1]
        raise AccessError(f"there is no service unit {service_unit!r} among the data you may see")

    # What is written

    @property
    def may_write(self) -> bool:
        """Whether the person's role writes annotations, for the units that it sees."""
        return self._role.annotates

    def may_change(self, annotation: Annotation) -> bool:
        """Whether the person changes and removes an annotation: its author and administrators do, for the units that they see. Who got
        the user name of an author who left is not its author."""
        if not self._writes_for(annotation.service_unit_id):
            return False
        return self._role.administers or self._kept.is_author(annotation.annotation_id, self._principal.email)

    def add(self, annotation: Annotation) -> Annotation:
        """Adds an annotation in the person's name, and returns it with its id.

        Raises AccessError for a person who may not write it, ConfigurationError for what cannot be an annotation; both are audited.
        """
        with refusals_noted(self._note, "annotation added", annotation.detail):
            return self._kept.add(self._checked(annotation))

    def change(self, annotation_id: str, annotation: Annotation) -> None:
        """Replaces an annotation by another version. Raises as `add`, AccessError too where it is not the person's to change."""
        with refusals_noted(self._note, "annotation changed", {"annotation": annotation_id, **annotation.detail}):
            before = self._own(annotation_id)
            checked = self._checked(annotation)
            self._kept.change(replace(checked, annotation_id=annotation_id, author=before.author))

    def remove(self, annotation_id: str) -> None:
        """Removes an annotation. Its versions are kept. Raises AccessError, audited, where it is not the person's to remove."""
        with refusals_noted(self._note, "annotation removed", {"annotation": annotation_id}):
            removed = replace(self._own(annotation_id), set_by=self._principal.email, is_removed=True)
            self._kept.change(removed)

    def _own(self, annotation_id: str) -> Annotation:
        seen = (item for item in self._kept.standing() if item.annotation_id == annotation_id and self._is_seen(item))
        annotation = next(seen, None)
        if annotation is None or not self.may_read:
            raise AccessError(f"there is no annotation {annotation_id!r} among those you may see")
        if not self.may_change(annotation):
            raise AccessError("only its author or an administrator changes this annotation")
        return annotation

    def _checked(self, annotation: Annotation) -> Annotation:
        """The annotation in the person's name, with one line of text."""
        if not self._writes_for(annotation.service_unit_id):
            raise AccessError("your role does not write annotations for this; ask your administrator")
        if annotation.service_unit_id != WHOLE:
            self._metrics.data.path_of(annotation.service_unit_id)
        sentence = check_sentence(annotation.sentence)
        if not 0 <= (annotation.last_day - annotation.first_day).days < MOST_DAYS:
            raise ConfigurationError(
                f"an annotation is for 1 to {MOST_DAYS} days, and its last day is not before its first"
            )
        if annotation.page and annotation.metric:
            raise ConfigurationError("an annotation is about a page or about a figure, not about both")
        if annotation.page and not self._has_page(annotation.page):
            raise ConfigurationError(f"no page of figures is named {annotation.page!r}")
        if annotation.metric and annotation.metric not in self._metric_names:
            raise ConfigurationError(f"no metric is named {annotation.metric!r}")
        return replace(annotation, sentence=sentence, set_by=self._principal.email, is_removed=False)

    def _writes_for(self, unit: str) -> bool:
        return self.may_write and (unit != WHOLE or not self._metrics.scope.is_restricted)

    # What the scope holds

    def _is_seen(self, annotation: Annotation) -> bool:
        return (
            annotation.service_unit_id in self._units_and_above | {WHOLE}
            and (not annotation.page or self._has_page(annotation.page))
            and (not annotation.metric or annotation.metric in self._metric_names)
        )

    def _has_page(self, page: str) -> bool:
        return page in PAGES and page in self._role.pages

    @cached_property
    def _units_and_above(self) -> frozenset[str]:
        """Ids of the units in scope and of those above them."""
        return frozenset(step for path in self._metrics.data.units["path"] for step in path.strip("/").split("/"))

    @cached_property
    def _metric_names(self) -> frozenset[str]:
        return frozenset(item.definition.name for item in self._metrics.visible())

    def _check_reads(self) -> None:
        if not self.may_read:
            self._refuse("annotations", {}, "your role does not read annotations")

    def _refuse(self, action: str, detail: Mapping[str, object], why: str) -> NoReturn:
        self._note(action, detail, REFUSED)
        raise AccessError(why)

    # What follows from the published data

    def _gaps(self) -> list[Automatic]:
        """The gaps of feeds on which pages of the person rest, with those pages."""
        gaps = published_gaps(self._home, self._version)
        return [
            Automatic(
                kind=FEED_GAP,
                sentence=f"Feed {row['feed']} {_GAPS[row['kind']]}",
                first_day=row["first_day"],
                last_day=row["last_day"],
                pages=pages,
            )
            for row in gaps.iter_rows(named=True)
            if (pages := self._pages_on(row["entities"] or ()))
        ]

    def _pages_on(self, entities: Collection[str]) -> tuple[str, ...]:
        """The pages of the person that rest on rows of some of these contracts."""
        return tuple(
            key for key, page in PAGES.items() if self._has_page(key) and not set(page.entities).isdisjoint(entities)
        )

    def _moves(self) -> list[Automatic]:
        # A version that was published before there was such a table has no moves.
        if self._metrics.registry.table("dim_service_unit_versions") is None:
            return []
        names = dict(self._metrics.data.units.select("service_unit_id", "name").iter_rows())
        moves = []
        for row in self._metrics.data.frame(_MOVES).iter_rows(named=True):
            before, now = (_place(names, row[column]) for column in ("parent_before", "parent_service_unit_id"))
            above = f"{row['path_before'].strip('/')}/{row['path'].strip('/')}".split("/")
            moves.append(
                Automatic(
                    kind=UNIT_MOVED,
                    sentence=f"{row['name']} moved from {before} to {now}",
                    first_day=row["valid_from"],
                    last_day=row["valid_from"],
                    service_unit_id=row["service_unit_id"],
                    above=tuple(dict.fromkeys(above)),
                )
            )
        return moves


def concerns(place_path: Sequence[str], service_unit_id: str, above: Collection[str]) -> bool:
    """Whether an annotation of a unit concerns a place: the unit itself, one below it, or one above it (`above`). `place_path` are ids
    from the top to the place, empty for everything in scope."""
    return service_unit_id == WHOLE or not place_path or service_unit_id in place_path or place_path[-1] in above


def restatements(changes: Iterable[Change]) -> tuple[Automatic, ...]:
    """An annotation for each figure of a closed month that is another one now; `changes` are of the place that is shown."""
    return tuple(
        Automatic(
            kind=RESTATEMENT,
            sentence=f"{change.label} changed after the month was closed",
            first_day=change.close.month,
            last_day=change.close.month,
            metrics=(change.metric,),
        )
        for change in changes
    )


def check_sentence(text: str) -> str:
    """A sentence as one line. Raises ConfigurationError for an empty or long one, and for one with a number that may lead to a
    patient."""
    sentence = " ".join(text.split())
    if not sentence or len(sentence) > LONGEST_SENTENCE or not sentence.isprintable():
        raise ConfigurationError(f"write a sentence of 1 to {LONGEST_SENTENCE} characters")
    if _TELLING_NUMBER.search(sentence):
        raise ConfigurationError(
            "the sentence has a long number, which may lead to a patient; write it without numbers of patients, records or telephones"
        )
    return sentence


def _place(names: Mapping[str, str], unit: str | None) -> str:
    if unit is None:
        return "the top"
    return names.get(unit, "another unit")
