"""`clinicmart annotations`: what happened on which days, for the charts of a tenant."""

from collections.abc import Callable
from datetime import date, datetime
from typing import Any

import click

from clinicmart.commands.metrics import open_for
from clinicmart.options import (
    existing_home,
    home_option,
    json_option,
    print_json,
    print_result,
    print_table,
    recorded,
    tenant_option,
    user_option,
)
from foundation.home import Home

_DAY = click.DateTime(["%Y-%m-%d"])


@click.group()
def annotations() -> None:
    """List, add, change and remove annotations of days."""


def _written_options(*, is_new: bool) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """The options of an annotation that is written; a change keeps what is not given."""
    without = "Without it the annotation is {}." if is_new else "Without it this stays as it is."
    options = (
        click.option("--from", "first_day", type=_DAY, required=is_new, help="First day."),
        click.option("--to", "last_day", type=_DAY, help=f"Last day. {without.format('for one day')}"),
        click.option("--unit", help=f"The service unit. {without.format('for the whole tenant')}"),
        click.option("--page", help="Show it on this page of figures alone, such as no_show."),
        click.option("--metric", help="Show it with this metric alone."),
    )

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


@annotations.command("list")
@home_option
@tenant_option
@user_option
@click.option("--history", is_flag=True, help="Show every version, also of removed annotations. For administrators.")
@json_option
@recorded
def list_annotations(home: Home, tenant: str, user: str, history: bool, as_json: bool) -> None:
    """List annotations: those that people wrote, and gaps of feeds and moves of service units, which follow from the data.

    An empty unit is the whole tenant. An annotation without an id follows from the data.
    """
    with open_for(home, tenant, user) as reader:
        written = reader.annotations.versions() if history else reader.annotations.standing()
        automatic = () if history else reader.annotations.automatic()
    rows: list[dict[str, Any]] = [
        {
            "annotation": item.annotation_id,
            "from": item.first_day,
            "to": item.last_day,
            "sentence": item.sentence,
            "unit": item.service_unit_id,
            "about": [item.page or item.metric] if item.page or item.metric else [],
            "author": item.author,
            "set_by": item.set_by,
            "set_at": item.set_at,
            "removed": item.is_removed,
        }
        for item in written
    ]
    rows += [
        {
            "annotation": "",
            "from": item.first_day,
            "to": item.last_day,
            "sentence": item.sentence,
            "unit": item.service_unit_id,
            "about": list(item.pages),
            "kind": item.kind,
        }
        for item in automatic
    ]
    rows.sort(key=lambda row: row["from"])
    if as_json:
        print_json(rows)
        return
    names = ["annotation", "from", "to", "sentence", "unit"]
    print_table(
        ["Id", "From", "To", "Annotation", "Service unit", "About", "Written by"],
        [[*(row[name] for name in names), ", ".join(row["about"]), _by(row)] for row in rows],
    )


@annotations.command("add")
@click.argument("sentence")
@home_option
@tenant_option
@user_option
@_written_options(is_new=True)
@json_option
@existing_home
def add_annotation(home: Home, sentence: str, tenant: str, user: str, as_json: bool, **options: Any) -> None:
    """Add an annotation: SENTENCE says what happened.

    SENTENCE has at most 200 characters. Write no names and no numbers of patients.
    """
    with open_for(home, tenant, user) as reader:
        made = reader.annotations.add(_annotation(sentence, **options))
    print_result(as_json, {"annotation": made.annotation_id}, f"Annotation {made.annotation_id} is added.")


@annotations.command("change")
@click.argument("annotation_id")
@click.argument("sentence")
@home_option
@tenant_option
@user_option
@_written_options(is_new=False)
@json_option
@existing_home
def change_annotation(
    home: Home, annotation_id: str, sentence: str, tenant: str, user: str, as_json: bool, **options: Any
) -> None:
    """Write another version of the annotation ANNOTATION_ID. Its author and administrators may.

    What is not given stays as it is. An empty --unit, --page or --metric takes it away. SENTENCE has at most 200 characters. Write no
    names and no numbers of patients. The earlier versions are kept.
    """
    with open_for(home, tenant, user) as reader:
        seen = (item for item in reader.annotations.standing() if item.annotation_id == annotation_id)
        reader.annotations.change(annotation_id, _annotation(sentence, before=next(seen, None), **options))
    print_result(as_json, {"annotation": annotation_id}, f"Annotation {annotation_id} is changed.")


@annotations.command("remove")
@click.argument("annotation_id")
@home_option
@tenant_option
@user_option
@json_option
@existing_home
def remove_annotation(home: Home, annotation_id: str, tenant: str, user: str, as_json: bool) -> None:
    """Remove the annotation ANNOTATION_ID. Its author and administrators may. Its versions are kept."""
    with open_for(home, tenant, user) as reader:
        reader.annotations.remove(annotation_id)
    print_result(as_json, {"annotation": annotation_id, "removed": True}, f"Annotation {annotation_id} is removed.")


def _annotation(
    sentence: str,
    first_day: datetime | None,
    last_day: datetime | None,
    unit: str | None,
    page: str | None,
    metric: str | None,
    before: Any = None,
) -> Any:
    """The annotation that is written; `before` is its version until now, which gives what is not given."""
    from serving.people.annotations import Annotation

    # Without an earlier version the change is refused before its days are read.
    kept_days = (before.first_day, before.last_day) if before else (date.min, None)
    first = first_day.date() if first_day else kept_days[0]
    last = last_day.date() if last_day else kept_days[1] or first
    return Annotation(
        sentence=sentence,
        first_day=first,
        last_day=last,
        service_unit_id=before.service_unit_id if before and unit is None else unit or "",
        page=before.page if before and page is None else page or "",
        metric=before.metric if before and metric is None else metric or "",
    )


def _by(row: dict[str, Any]) -> str:
    """Who wrote it, or what it follows from."""
    who = str(row.get("set_by") or row.get("kind") or "")
    return f"{who} (removed)" if row.get("removed") else who
