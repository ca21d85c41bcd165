"""After a publish: which figures of closed months are others now, and why.

    restate(home, tenant_id, run_id) -> number of restatement rows written

Every standing close is compared with the served version. Only what can have changed is asked again: a metric whose definition
is another one, or whose facts have other rows in the month than the version that was compared last. A figure that differs from
what was known of it becomes a row: `old` is what was known, `new` what it is now, so that a second change is a second row and a
return to the closed figure is a row too. Decimals are compared with all their digits, binary fractions to one part in 10^9.

The restatements of a close are one encrypted file, replaced as a whole; `checked.json` then notes the version. A run that is
killed in between repeats the comparison and finds nothing new.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from functools import cached_property
from typing import Any

import polars as pl

from foundation.errors import PublishError
from foundation.home import Home
from foundation.kept_files import read_derived, write_derived
from serving.closed_months.causes import Evidence, FileMarks
from serving.closed_months.close import read_figures
from serving.closed_months.figures import EXACT, KEY, MONTH, TOTAL, Asked, Whole, can_ask, figures, open_whole
from serving.closed_months.restatements import RESTATEMENTS, Restated, read_restated, write_restated
from serving.model import Version
from serving.publish.model_sql import metric_digests, read_definitions
from serving.versions.closes import Close, folder, last_day, locked, standing
from serving.versions.retention import kept_versions
from serving.versions.store import current_version, files_of

CHECKED = "checked.json"
RELATIVE = 1e-9


def restate(home: Home, tenant_id: str, run_id: str, *, file_marks: FileMarks | None = None) -> int:
    """Compares every standing close of a tenant with the served version; returns how many figures were restated.

    `file_marks` gives the mark of each unit (file) that a row's position names. Does nothing where no month is closed.
    """
    if not standing(home, tenant_id):
        return 0
    with locked(home, tenant_id):
        served, checked = current_version(home, tenant_id), _checked(home, tenant_id)
        if served is None:
            return 0
        kept = {version.version: version for version in kept_versions(home, tenant_id)}
        by_baseline: dict[str, list[Close]] = {}
        for close in standing(home, tenant_id):
            last = checked.get(f"{close.name}.{close.number}", close.version)
            if last != served.version:
                by_baseline.setdefault(last if last in kept else close.version, []).append(close)
        written = 0
        for baseline, of_baseline in by_baseline.items():
            if baseline not in kept:
                raise PublishError(
                    f"{tenant_id}: the version {baseline}, from which {of_baseline[0].name} was closed, is not there; restore "
                    f"{files_of(home, tenant_id, baseline).folder} from your backup"
                )
            if _is_same(kept[baseline], served):
                continue
            with _Comparison(home, kept[baseline], served) as comparison:
                written += comparison.write(of_baseline, run_id, file_marks)
        names = [f"{close.name}.{close.number}" for closes in by_baseline.values() for close in closes]
        if names:
            noted = checked | dict.fromkeys(names, served.version)
            write_derived(folder(home, tenant_id) / CHECKED, noted)
    return written


def _checked(home: Home, tenant_id: str) -> dict[str, str]:
    """Close to the version it was compared with last."""
    return read_derived(folder(home, tenant_id) / CHECKED)


def _is_same(first: Version, other: Version) -> bool:
    """Whether two versions hold the same data under the same definitions: their fingerprint covers both."""
    return "data" in first.fingerprints and first.fingerprints["data"] == other.fingerprints.get("data")


class _Comparison:
    """A version that was compared last (`before`) and the served one (`now`), open side by side."""

    def __init__(self, home: Home, before: Version, now: Version) -> None:
        self._home = home
        self._before, self._now = open_whole(home, before), open_whole(home, now)

    def __enter__(self) -> "_Comparison":
        return self

    def __exit__(self, *_: object) -> None:
        self._before.close()
        self._now.close()

    def write(self, closes: Sequence[Close], run_id: str, file_marks: FileMarks | None) -> int:
        """Adds what changed to the files of some closes; returns how many rows."""
        months = [close.month for close in closes]
        questions = {close: self._questions(close) for close in closes}
        everything = sorted({asked for asked in _chained(questions.values()) if can_ask(self._now.metrics, asked)})
        if not any(questions.values()):
            return 0
        answers = figures(self._now.metrics, everything, months)
        evidence = Evidence(self._home, self._before, self._now, file_marks)
        written = 0
        try:
            for close in closes:
                restated = read_restated(self._home, close)
                changed = self._changed(close, questions[close], answers, restated)
                if changed.height:
                    rows, causes = self._explained(close, changed, restated, evidence, run_id)
                    write_restated(self._home, close, Restated(rows=rows, causes=causes))
                    written += changed.height
        finally:
            evidence.close()
        return written

    # What is to be asked again

    def _questions(self, close: Close) -> set[Asked]:
        """The questions of a close whose answers can have changed since `before`."""
        _, asked = read_figures(self._home, close)
        tables, dimensions = self._changed_tables(close.month), self._changed_dimensions
        index, questions = self._now.metrics.index, set()
        for item in asked:
            if item.metric in self.redefined or not can_ask(self._now.metrics, item):
                questions.add(item)
                continue
            facts = index.facts_of(item.metric)
            if any(fact.table in tables for fact in facts):
                questions.add(item)
            elif item.dimension:
                members = [fact.find(item.dimension) for fact in facts]
                if any(member is not None and member.table in dimensions for member in members):
                    questions.add(item)
        return questions

    @cached_property
    def redefined(self) -> frozenset[str]:
        """Metrics whose own definition, or whose models, are others than before."""
        files = [files_of(self._home, w.version.tenant_id, w.version.version) for w in (self._before, self._now)]
        digests = [metric_digests(json.loads(item.semantic_manifest.read_bytes())) for item in files]
        models = [read_definitions(item.definitions) for item in files]
        other = {name for name in models[1] if models[0] and models[0].get(name) != models[1][name]}
        return frozenset(
            item.definition.name
            for item in self._now.metrics.visible()
            if digests[0].get(item.definition.name) != digests[1].get(item.definition.name) or other & set(item.tables)
        )

    def _changed_tables(self, month: date) -> set[str]:
        """Facts that hold other rows in a month than before, by any of their dates."""
        return {table for table, prints in self._prints.items() if prints[0].get(month) != prints[1].get(month)}

    @cached_property
    def _prints(self) -> dict[str, tuple[Mapping[date, Any], Mapping[date, Any]]]:
        """Fact to what its rows of each month come to, before and now."""
        prints: dict[str, tuple[Mapping[date, Any], Mapping[date, Any]]] = {}
        for fact in self._now.metrics.index.facts.values():
            columns = sorted(set(fact.date_columns.values()))
            if columns and self._before.metrics.registry.table(fact.table) is None:
                prints[fact.table] = ({}, _months(self._now, fact.table, columns))
            elif columns:
                prints[fact.table] = (
                    _months(self._before, fact.table, columns),
                    _months(self._now, fact.table, columns),
                )
        return prints

    @cached_property
    def _changed_dimensions(self) -> frozenset[str]:
        """Dimension tables that are others than before."""
        tables = [table.name for table in self._now.metrics.registry.tables if table.is_dimension]
        return frozenset(name for name in tables if _all(self._before, name) != _all(self._now, name))

    # What changed

    def _changed(self, close: Close, asked: set[Asked], answers: pl.DataFrame, restated: Restated) -> pl.DataFrame:
        """Figures of a close that differ from the last known ones, with closed, old, new and amount."""
        frozen, _ = read_figures(self._home, close)
        questions = pl.DataFrame(
            [(item.metric, item.grain, item.dimension) for item in sorted(asked)],
            schema=dict.fromkeys(("metric", "grain", "dimension"), pl.String),
            orient="row",
        )
        last = restated.rows.sort("restatement").unique(subset=KEY, keep="last")
        sides = [
            frozen.rename({"exact": "closed_exact", "real": "closed_real", "member_name": "closed_name"}),
            last.select(*KEY, last_exact="new_exact", last_real="new_real", is_known=pl.lit(True)),
            answers.filter(pl.col("period").is_between(close.month, last_day(close.month))).rename(
                {"exact": "new_exact", "real": "new_real"}
            ),
        ]
        frame = sides[0]
        for side in sides[1:]:
            frame = frame.join(side, on=list(KEY), how="full", coalesce=True)
        frame = frame.join(questions, on=["metric", "grain", "dimension"], how="semi")
        frame = self._gone(frame)
        nought = pl.col("metric").is_in([n for n, m in self._now.metrics.registry.metrics.items() if _is_sum(m)])
        is_known = pl.col("is_known").fill_null(False)
        for kind in ("exact", "real"):
            frame = frame.with_columns(
                pl.when(is_known).then(f"last_{kind}").otherwise(f"closed_{kind}").alias(f"old_{kind}")
            )
        for which in ("closed", "old", "new"):
            # A sum without a row is nought, unless the metric is there no more.
            absent = pl.col(f"{which}_exact").is_null() & pl.col(f"{which}_real").is_null()
            empty = absent & nought & (~pl.col("is_gone") if which == "new" else pl.lit(True))
            frame = frame.with_columns(
                pl.when(empty).then(pl.lit(0, dtype=EXACT)).otherwise(f"{which}_exact").alias(f"{which}_exact")
            )
        return _amounts(frame.filter(~_same()))

    def _gone(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Marks figures that the served version cannot be asked for; the total of the month shows this for each metric."""
        metrics = self._now.metrics
        gone = [
            row
            for row in frame.select("metric", "dimension").unique().rows()
            if not can_ask(metrics, Asked(row[0], MONTH, row[1]))
        ]
        names = pl.DataFrame(gone, schema={"metric": pl.String, "dimension": pl.String}, orient="row")
        marked = frame.join(names.with_columns(is_gone=pl.lit(True)), on=["metric", "dimension"], how="left")
        marked = marked.with_columns(pl.col("is_gone").fill_null(False))
        tells = (pl.col("dimension") == TOTAL) & (pl.col("grain") == MONTH)
        return marked.filter(~pl.col("is_gone") | tells)

    # Why

    def _explained(
        self, close: Close, changed: pl.DataFrame, restated: Restated, evidence: Evidence, run_id: str
    ) -> tuple[pl.DataFrame, pl.DataFrame]:
        """(restatements, causes) of a close, those known so far included."""
        sets, causes = evidence.explain(close.month, changed.select(*KEY), self.redefined)
        first = int(restated.rows["restatement"].max() or 0) + 1  # type: ignore[arg-type]
        fresh = (
            changed.join(sets, on=list(KEY), how="left")
            .sort(KEY)
            .with_row_index("restatement", offset=first)
            .with_columns(
                definition_changed=pl.col("metric").is_in(list(self.redefined)) | pl.col("is_gone"),
                version=pl.lit(self._now.version.version),
                run_id=pl.lit(run_id),
                first_seen_at=pl.lit(datetime.now(UTC).replace(tzinfo=None)),
            )
        )
        rows = pl.concat([restated.rows, fresh.select(*RESTATEMENTS).cast(RESTATEMENTS)])  # type: ignore[arg-type]
        merged = pl.concat([restated.causes, causes]).unique(subset=["cause_set", "ordinal"], keep="first")
        return rows, merged


def _chained(sets: Any) -> Any:
    return (item for table in sets for item in table)


def _is_sum(metric: Any) -> bool:
    return bool(metric.is_additive and not metric.share_of)


def _months(whole: Whole, table: str, columns: Sequence[str]) -> dict[date, Any]:
    """First day of a month to the number of rows and their hashes, over each date of a fact."""
    marks: dict[date, Any] = {}
    for column in columns:
        rows = whole.metrics.data.frame(
            f"select cast(date_trunc('month', {column}) as date) as month, count(*) as rows, "
            "cast(bit_xor(hash(fact)) as varchar) as mixed, cast(sum(hash(fact)) as varchar) as total "
            f'from warehouse.marts."{table}" as fact where {column} is not null group by 1'
        )
        for month, *values in rows.rows():
            marks.setdefault(month, []).append((column, *values))
    return marks


def _all(whole: Whole, table: str) -> Any:
    if whole.metrics.registry.table(table) is None:
        return None
    return whole.metrics.data.frame(
        "select count(*) as rows, cast(bit_xor(hash(t)) as varchar) as mixed, cast(sum(hash(t)) as varchar) as total "
        f'from warehouse.marts."{table}" as t'
    ).row(0)


def _same() -> pl.Expr:
    """Whether old and new are the same figure."""
    exact = pl.col("old_exact").eq_missing(pl.col("new_exact"))
    old, new = pl.col("old_real"), pl.col("new_real")
    near = (old - new).abs() <= RELATIVE * pl.max_horizontal(old.abs(), new.abs())
    return exact & (near.fill_null(False) | (old.is_null() & new.is_null()))


def _amounts(frame: pl.DataFrame) -> pl.DataFrame:
    """New less old; of a figure that was or is unknown there is no difference."""
    return frame.with_columns(
        amount_exact=pl.col("new_exact") - pl.col("old_exact"),
        amount_real=pl.col("new_real") - pl.col("old_real"),
        member_name=pl.coalesce("member_name", "closed_name"),
    )
