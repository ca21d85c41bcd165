"""Content of a tenant as YAML files. Names and order of files, keys and values follow from the content alone.

    reports/visits-by-month-1f2e3d4c.yaml    one shared report each
    queries/denials-5a6b7c8d.yaml            one shared query each
    targets.yaml                             every target that stands
    alerts.yaml                              every alert that has not ended

Each file has a format number. A kind whose folder or file is not there is left alone by an import.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from foundation.errors import ConfigurationError
from foundation.yaml_nodes import NodeReader, compose_file
from serving.people.alert_rules import Alert, Rule, Wanted
from serving.report_definition import ReportDefinition

FORMAT = 1
REPORTS, QUERIES, TARGETS, ALERTS = "reports", "queries", "targets.yaml", "alerts.yaml"
_OWN_NAME = re.compile(r".*-[0-9a-f]{8}\.yaml")
_Text = Annotated[str, Field(min_length=1)]
Location = tuple[str | int, ...]


class _File(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")
    format: Literal[1] = 1


class ReportFile(_File):
    """A shared report. `owner` is the user name of the person who keeps it; `pinned_to` the page of figures on which it stands too, empty
    for none."""

    kind: Literal["report"] = "report"
    name: _Text
    owner: _Text
    pinned_to: str = ""
    report: ReportDefinition

    @property
    def key(self) -> tuple[str, str]:
        """What it is found again by."""
        return (self.owner, self.name)

    def as_content(self) -> dict[str, Any]:
        """Plain values in the order of the file."""
        head = {"format": self.format, "kind": self.kind, "name": self.name, "owner": self.owner}
        pinned = {"pinned_to": self.pinned_to} if self.pinned_to else {}
        return head | pinned | {"report": self.report.as_content()}


class QueryFile(_File):
    """A shared query of the page SQL."""

    kind: Literal["query"] = "query"
    name: _Text
    owner: _Text
    sql: _Text

    @property
    def key(self) -> tuple[str, str]:
        """What it is found again by."""
        return (self.owner, self.name)

    def as_content(self) -> dict[str, Any]:
        """Plain values in the order of the file."""
        return self.model_dump()


class TargetLine(BaseModel):
    """A target from a day on. Without `unit` it is for the whole tenant. `value` is in the metric's unit (a share as a fraction), None
    ends the target."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    metric: _Text
    unit: str = ""
    valid_from: date
    value: Decimal | None

    @property
    def key(self) -> tuple[str, str, date]:
        """What it is found again by."""
        return (self.metric, self.unit, self.valid_from)

    def as_content(self) -> dict[str, Any]:
        """Plain values in the order of the file."""
        unit = {"unit": self.unit} if self.unit else {}
        value = None if self.value is None else f"{self.value:f}"
        return {"metric": self.metric, **unit, "valid_from": self.valid_from, "value": value}


class TargetsFile(_File):
    """All targets of the tenant."""

    kind: Literal["targets"] = "targets"
    targets: tuple[TargetLine, ...]

    def as_content(self) -> dict[str, Any]:
        """Plain values in the order of the file."""
        lines = sorted(self.targets, key=lambda line: line.key)
        return {"format": self.format, "kind": self.kind, "targets": [line.as_content() for line in lines]}


class AlertLine(BaseModel):
    """An alert of a person, `owner`. Its fields are those of `Wanted` and `Rule` (`serving.people.alert_rules`); `unit` is a service unit,
    empty for all that the owner sees. `threshold` is in the metric's unit (a share as a fraction)."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    owner: _Text
    metric: _Text
    alarm: Literal["threshold", "change", "missing"]
    every: Literal["week", "month"]
    unit: str = ""
    with_units_below: bool = False
    side: Literal["", "above", "below"] = ""
    threshold: Decimal | None = None
    volume_metric: str = ""
    least_volume: int = Field(default=0, ge=0)
    late_days: int = Field(default=0, ge=0)

    @classmethod
    def of(cls, alert: Alert) -> Self:
        """An alert that the tenant has."""
        rule = alert.rule
        return cls(
            owner=alert.email,
            metric=alert.metric,
            alarm=rule.kind,  # type: ignore[arg-type]
            every=alert.every,  # type: ignore[arg-type]
            unit=alert.service_unit_id,
            with_units_below=alert.with_units_below,
            side=rule.side,  # type: ignore[arg-type]
            threshold=rule.threshold,
            volume_metric=alert.volume_metric,
            least_volume=rule.least_volume,
            late_days=rule.late_days,
        )

    @property
    def key(self) -> tuple[object, ...]:
        """What it is found again by: all of it, for an alert has no name."""
        return tuple(getattr(self, name) for name in type(self).model_fields)

    def wanted(self) -> Wanted:
        """The alert to be made. Raises ConfigurationError for one that cannot be."""
        return Wanted(
            metric=self.metric,
            rule=Rule(
                kind=self.alarm,
                side=self.side,
                threshold=self.threshold,
                least_volume=self.least_volume,
                late_days=self.late_days,
            ),
            every=self.every,
            service_unit_id=self.unit,
            with_units_below=self.with_units_below,
            volume_metric=self.volume_metric,
        )

    def as_content(self) -> dict[str, Any]:
        """Plain values in the order of the file, without those that are the default."""
        content = self.model_dump(exclude_defaults=True)
        return content | ({} if self.threshold is None else {"threshold": f"{self.threshold:f}"})


class AlertsFile(_File):
    """All alerts of the tenant that have not ended."""

    kind: Literal["alerts"] = "alerts"
    alerts: tuple[AlertLine, ...]

    def as_content(self) -> dict[str, Any]:
        """Plain values in the order of the file."""
        lines = sorted(self.alerts, key=lambda line: str(line.key))
        return {"format": self.format, "kind": self.kind, "alerts": [line.as_content() for line in lines]}


@dataclass(frozen=True, kw_only=True)
class Content:
    """What the files hold; None for a kind whose files are not there."""

    reports: tuple[ReportFile, ...] | None = None
    queries: tuple[QueryFile, ...] | None = None
    targets: tuple[TargetLine, ...] | None = None
    alerts: tuple[AlertLine, ...] | None = None


_M = TypeVar("_M", bound=_File)


class Located:
    """The content of a folder that was read, and the line of each part of it."""

    def __init__(self, folder: Path) -> None:
        """Raises ConfigurationError, naming file and line, for a file that is not of its kind."""
        self._origins: dict[tuple[str, object], tuple[Path, yaml.Node]] = {}
        if not folder.is_dir():
            raise ConfigurationError(f"{folder}: there is no such folder")
        reports, queries, targets, alerts = (folder / name for name in (REPORTS, QUERIES, TARGETS, ALERTS))
        self.content = Content(
            reports=self._all(reports, ReportFile) if reports.is_dir() else None,
            queries=self._all(queries, QueryFile) if queries.is_dir() else None,
            targets=self._targets(targets) if targets.is_file() else None,
            alerts=self._alerts(alerts) if alerts.is_file() else None,
        )
        if self.content == Content():
            raise ConfigurationError(f"{folder}: holds no {REPORTS}, no {QUERIES}, no {TARGETS} and no {ALERTS}")

    def place(self, kind: str, key: object, location: Location = ()) -> str:
        """`file:line` of a part of an item."""
        path, node = self._origins[kind, key]
        return f"{path}:{_line(node, location)}"

    def _all(self, folder: Path, model: type[_M]) -> tuple[_M, ...]:
        items = []
        for path in sorted(folder.glob("*.yaml")):
            item, node = _read(path, model)
            key = (item.kind, item.key)  # type: ignore[attr-defined]
            if key in self._origins:
                raise ConfigurationError(f"{path}:1: holds the same {key[0]} as {self._origins[key][0].name}")
            self._origins[key] = (path, node)
            items.append(item)
        return tuple(items)

    def _targets(self, path: Path) -> tuple[TargetLine, ...]:
        file, node = _read(path, TargetsFile)
        self._lines(path, node, "target", file.targets)
        return file.targets

    def _alerts(self, path: Path) -> tuple[AlertLine, ...]:
        file, node = _read(path, AlertsFile)
        self._lines(path, node, "alert", file.alerts)
        return file.alerts

    def _lines(self, path: Path, node: yaml.Node, kind: str, lines: Sequence[TargetLine | AlertLine]) -> None:
        """Keeps where each line of a list stands. Raises ConfigurationError for one that stands twice."""
        for index, line in enumerate(lines):
            part = _part(node, (f"{kind}s", index))
            if (kind, line.key) in self._origins:
                raise ConfigurationError(f"{path}:{part.start_mark.line + 1}: this {kind} stands twice")
            self._origins[kind, line.key] = (path, part)


def _read(path: Path, model: type[_M]) -> tuple[_M, yaml.Node]:
    node = compose_file(path)
    _check_keys(NodeReader(path), node)
    try:
        content = yaml.SafeLoader("").construct_document(node)
    except (yaml.YAMLError, ValueError) as error:
        raise ConfigurationError(f"{path}:1: is not YAML of this kind: {error}") from None
    number = content.get("format") if isinstance(content, dict) else None
    if isinstance(number, int) and number > FORMAT:
        raise ConfigurationError(f"{path}:1: was written by a later release of Clinicmart (format {number})")
    try:
        return model.model_validate(content), node
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ConfigurationError(f"{path}:{_line(node, first['loc'])}: {where}: {first['msg']}") from None


def _check_keys(reader: NodeReader, node: yaml.Node, key: str = "") -> None:
    """Raises ConfigurationError for a key that is given twice, at any depth."""
    if isinstance(node, yaml.MappingNode):
        for name, value in reader.mapping(node, key).items():
            _check_keys(reader, value, name)
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            _check_keys(reader, item, key)


def _part(node: yaml.Node, location: Location) -> yaml.Node:
    """The node at a place; the last one on the way where it is not there."""
    for step in location:
        below = _below(node, step)
        if below is None:
            break
        node = below
    return node


def _below(node: yaml.Node, step: str | int) -> yaml.Node | None:
    if isinstance(node, yaml.MappingNode):
        return next((value for name, value in node.value if name.value == str(step)), None)
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
        below: yaml.Node = node.value[step]
        return below
    return None


def _line(node: yaml.Node, location: Location) -> int:
    return int(_part(node, location).start_mark.line) + 1


def file_name(owner: str, name: str) -> str:
    """The name of an item's file: readable, and the same wherever the item has the same owner and name."""
    words = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:60] or "unnamed"
    digest = hashlib.sha256(f"{owner}\0{name}".encode()).hexdigest()[:8]
    return f"{words}-{digest}.yaml"


class _Dumper(yaml.SafeDumper):
    """Writes a text of several lines as a block, so that a change of one line is a change of one line."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    # Only a text in double quotes keeps these as escapes; every other form reads them as the end of a line.
    is_strange = any(character in text for character in "\x85\u2028\u2029\ufeff")
    style = '"' if is_strange else "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)


def as_yaml(content: dict[str, Any]) -> str:
    """Keys in the order of the content, texts in UTF-8."""
    return str(yaml.dump(content, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100))


def write(content: Content, folder: Path) -> tuple[Path, ...]:
    """Writes each kind that `content` has. A kind of which it has None keeps its files.

    In `reports` and `queries` a file is removed if its name has the form that an export gives and no item has that name now. All other
    files stay. A file that a person named otherwise must be removed by hand, or the next import finds its item twice.
    """
    written: list[Path] = []
    for name, items in ((REPORTS, content.reports), (QUERIES, content.queries)):
        if items is not None:
            written += _write_all(folder / name, items)
    lists: list[tuple[str, TargetsFile | AlertsFile]] = []
    if content.targets is not None:
        lists.append((TARGETS, TargetsFile(targets=content.targets)))
    if content.alerts is not None:
        lists.append((ALERTS, AlertsFile(alerts=content.alerts)))
    for name, file in lists:
        folder.mkdir(parents=True, exist_ok=True)
        written.append(folder / name)
        written[-1].write_text(as_yaml(file.as_content()), encoding="utf-8", newline="\n")
    return tuple(written)


def _write_all(folder: Path, items: Sequence[ReportFile | QueryFile]) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    texts = {folder / file_name(*item.key): as_yaml(item.as_content()) for item in items}
    for path in folder.glob("*.yaml"):
        if path not in texts and _OWN_NAME.fullmatch(path.name):
            path.unlink()
    for path, text in sorted(texts.items()):
        path.write_text(text, encoding="utf-8", newline="\n")
    return sorted(texts)
