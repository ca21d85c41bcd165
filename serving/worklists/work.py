"""One person's worklists: the rows of the scope that still wait, joined with what people noted on them, and what came of it.

A row outside the scope is as if it did not exist, for reading and for writing. De-identified roles have no worklists: the rows must name
a claim or a visit that can be found in the practice's own system.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import polars as pl

from foundation.errors import AccessError, ConfigurationError
from serving.audited import DONE as ACT_DONE
from serving.audited import Note, refusals_noted
from serving.metrics.answers import Metrics
from serving.metrics.dimensions import SERVICE_UNIT
from serving.people.modules import sees_metric
from serving.people.rights import ROLES
from serving.people.work_entries import Entries, Entry
from serving.rows.drill import condition_of
from serving.worklists.lists import DONE, LISTS, OPEN, STATES, WorkList

# The most rows of a list that are read at once: the largest amounts, or the oldest.
MOST_ROWS = 2_000
LONGEST_NOTE = 500
# Deadlines within so many days are soon; what was worked is measured over so many days.
DUE_DAYS, MEASURED_DAYS = 14, 90
TO_DO, MINE, WORKED = "to_do", "mine", "worked"
SHOWN = (TO_DO, MINE, WORKED)
ROW_ID, AMOUNT = "row_id", "amount"


@dataclass(frozen=True, kw_only=True)
class Work:
    """A list as a person sees it.

    `rows` is one page: ROW_ID, AMOUNT (null where none is known), the list's columns, and state, owner, outcome, note, due of the last
    entry; `shown_rows` counts the rows of all pages. `open_rows` with `open_amount` wait for the feeds to report them as solved; of
    the first MOST_ROWS, `mine` belong to this person and `due_soon` must be done within DUE_DAYS. `worked` are rows set to done since
    `since`; `solved` those of them that the feeds report as solved since, `recovered` what came in for these (None where the list has
    no money).
    """

    work_list: WorkList
    rows: pl.DataFrame
    shown_rows: int
    open_rows: int
    open_amount: Decimal | None
    mine: int
    due_soon: int
    since: date
    worked: int
    solved: int
    recovered: Decimal | None


@dataclass(frozen=True, kw_only=True)
class Due:
    """Open rows of a list with a day by which they must be done: how many, for how much (None without money), the first day."""

    work_list: WorkList
    rows: int
    amount: Decimal | None
    first: date


class Worklists:
    """The worklists of one person (`user`). `entries_of` gives what people noted on the rows of a list."""

    def __init__(self, metrics: Metrics, entries_of: Callable[[str], Entries], user: str, note: Note) -> None:
        self._metrics, self._user, self._note = metrics, user, note
        self._entries = {name: entries_of(name) for name in LISTS}

    @property
    def names(self) -> tuple[str, ...]:
        """The lists that this person works on; none for roles that do not."""
        scope = self._metrics.scope
        if not ROLES[scope.role].works_lists:
            return ()
        metrics = self._metrics.registry.metrics
        return tuple(
            name
            for name, item in LISTS.items()
            if item.metric in metrics and sees_metric(scope, metrics[item.metric].definition)
        )

    def work(
        self, name: str, service_unit: str | None, today: date, *, show: str = TO_DO, limit: int = 25, offset: int = 0
    ) -> Work:
        """A page of a list under a unit (None: all that is seen), and what was worked in the last MEASURED_DAYS days.

        `show` is one of SHOWN. Rows with a day by which they must be done come first, then the largest amounts or the oldest rows.
        Every look is audited with the ids of the rows shown. Raises AccessError for a list or a unit that this person does not have.
        """
        asked = {"list": name, "unit": service_unit, "show": show, "offset": offset}
        with refusals_noted(self._note, "worklist", asked):
            work = self._work(name, service_unit, today, show, limit, offset)
        self._note("worklist", asked | {"column": work.work_list.key, "people": work.rows[ROW_ID].to_list()}, ACT_DONE)
        return work

    def _work(self, name: str, service_unit: str | None, today: date, show: str, limit: int, offset: int) -> Work:
        item = self._list(name)
        condition, parameters, source = self._of(item, {SERVICE_UNIT: service_unit} if service_unit else {})
        waiting = f"{condition} and ({self._row_filter(item)}) and ({item.is_open})"
        amount = item.amount or "cast(null as decimal(18, 2))"
        order = f"{AMOUNT} desc nulls last, {item.columns[0]}" if item.amount else item.columns[0]
        totals = self._frame(f"select count(*), sum({amount}) from {source} where {waiting}", parameters).row(0)
        rows = self._frame(
            f"select cast({item.key} as varchar) as {ROW_ID}, {amount} as {AMOUNT}, {', '.join(item.columns)} "
            f"from {source} where {waiting} order by {order}, {ROW_ID} limit {MOST_ROWS}",
            parameters,
        )
        versions = self._entries[name].all()
        joined = _joined(rows, self._entries[name].standing(versions))
        chosen = joined.filter(self._filter(show)).sort("due", nulls_last=True, maintain_order=True)
        since = today - timedelta(days=MEASURED_DAYS)
        done = _done(versions, since)
        solved, recovered = self._solved(item, source, condition, parameters, done)
        is_due = pl.col("due") <= today + timedelta(days=DUE_DAYS)
        return Work(
            work_list=item,
            rows=chosen.slice(offset, limit),
            shown_rows=chosen.height,
            open_rows=int(totals[0]),
            open_amount=(totals[1] or Decimal(0)) if item.amount else None,
            mine=joined.filter((pl.col("owner") == self._user) & (pl.col("state") != DONE)).height,
            due_soon=joined.filter(is_due & (pl.col("state") != DONE)).height,
            since=since,
            worked=self._count(item, source, condition, parameters, list(done)),
            solved=solved,
            recovered=recovered,
        )

    def _filter(self, show: str) -> pl.Expr:
        """Which rows `show` means. Raises ConfigurationError for another word."""
        if show not in SHOWN:
            raise ConfigurationError(f"{show!r} is not one of {', '.join(SHOWN)}")
        mine = (pl.col("owner") == self._user) & (pl.col("state") != DONE)
        return {TO_DO: pl.col("state") != DONE, MINE: mine, WORKED: pl.col("state") == DONE}[show]

    def due(self, today: date) -> tuple[Due, ...]:
        """The lists of which rows in the scope must be done within DUE_DAYS. Asks nothing of the rows where no entry has such a day."""
        answers = []
        for name in self.names:
            days = {
                row_id: entry.due
                for row_id, entry in self._entries[name].standing().items()
                if entry.due is not None and entry.due <= today + timedelta(days=DUE_DAYS) and entry.state != DONE
            }
            if not days:
                continue
            item = LISTS[name]
            condition, parameters, source = self._of(item, {})
            frame = self._frame(
                f"select cast({item.key} as varchar), {item.amount or 'null'} from {source} where {condition} "
                f"and ({self._row_filter(item)}) and ({item.is_open}) and cast({item.key} as varchar) in (select unnest($ids))",
                {**parameters, "ids": list(days)},
            )
            if frame.height:
                amount = sum((row[1] or Decimal(0) for row in frame.rows()), Decimal(0)) if item.amount else None
                first = min(days[row[0]] for row in frame.rows())
                answers.append(Due(work_list=item, rows=frame.height, amount=amount, first=first))
        return tuple(answers)

    def history(self, name: str, row_id: str) -> tuple[Entry, ...]:
        """Every entry of a row, the oldest first. Raises AccessError as `work` does, and for a row that this person does not see."""
        self._check_row(self._list(name), row_id)
        return tuple(entry for entry in self._entries[name].all() if entry.row_id == row_id)

    def set(self, name: str, entry: Entry) -> None:
        """Notes an entry on a row; who and when are set here. Every refusal is audited, without the row.

        Raises AccessError as `history` does, ConfigurationError for a state, outcome or note that the list does not take.
        """
        with refusals_noted(self._note, "worklist set", {"list": name, "state": entry.state}):
            self._set(name, entry)

    def _set(self, name: str, entry: Entry) -> None:
        item = self._list(name)
        self._check_row(item, entry.row_id)
        if entry.state not in STATES:
            raise ConfigurationError(f"{entry.state!r} is not a state; known are {', '.join(STATES)}")
        if entry.outcome and entry.outcome not in item.outcomes:
            raise ConfigurationError(f"{entry.outcome!r} is not an outcome of this list")
        if entry.state == DONE and not entry.outcome:
            raise ConfigurationError("a row that is done needs an outcome")
        if len(entry.note) > LONGEST_NOTE:
            raise ConfigurationError(f"a note has at most {LONGEST_NOTE} characters")
        values = {**vars(entry), "set_by": self._user, "set_at": None}
        self._entries[name].add(Entry(**values))

    def _list(self, name: str) -> WorkList:
        if name not in self.names:
            raise AccessError("your role does not have this worklist")
        return LISTS[name]

    def _of(self, item: WorkList, where: Mapping[str, str]) -> tuple[str, dict[str, Any], str]:
        """The condition of the metric's rows under filters, its parameters, and the table."""
        rule = self._metrics.metric(item.metric).drill
        assert rule is not None
        condition, parameters = condition_of(self._metrics, item.metric, rule, where, None, None)
        return f"({condition})", parameters, self._metrics.data.table(rule.model)

    def _frame(self, sql: str, parameters: Mapping[str, Any]) -> pl.DataFrame:
        return self._metrics.data.frame(sql, parameters)

    def _row_filter(self, item: WorkList) -> str:
        rule = self._metrics.metric(item.metric).drill
        return rule.row_filter if rule is not None and rule.row_filter else "true"

    def _check_row(self, item: WorkList, row_id: str) -> None:
        condition, parameters, source = self._of(item, {})
        listed = f"{condition} and (({self._row_filter(item)}) or ({item.solved}))"
        if not self._count(item, source, listed, parameters, [row_id]):
            raise AccessError("there is no such row among the data you may see")

    def _count(
        self, item: WorkList, source: str, condition: str, parameters: Mapping[str, Any], row_ids: list[str]
    ) -> int:
        """How many of some rows are in the scope, in any state."""
        if not row_ids:
            return 0
        sql = f"select count(distinct {item.key}) from {source} where {condition} and cast({item.key} as varchar) in (select unnest($ids))"
        return int(self._frame(sql, {**parameters, "ids": row_ids}).row(0)[0])

    def _solved(
        self, item: WorkList, source: str, condition: str, parameters: Mapping[str, Any], done: Mapping[str, date]
    ) -> tuple[int, Decimal | None]:
        """(rows, money) of worked rows that the feeds report as solved on or after the day on which work on them began."""
        if not done:
            return 0, Decimal(0) if item.recovered else None
        day, money = item.solved_on or "cast(null as date)", item.recovered or "cast(null as decimal(18, 2))"
        frame = self._frame(
            f"select cast({item.key} as varchar) as {ROW_ID}, {day} as solved_on, {money} as {AMOUNT} from {source} "
            f"where {condition} and {item.solved} and cast({item.key} as varchar) in (select unnest($ids))",
            {**parameters, "ids": list(done)},
        )
        solved = [row for row in frame.rows() if row[1] is None or row[1] >= done[row[0]]]
        recovered = sum((row[2] or Decimal(0) for row in solved), Decimal(0)) if item.recovered else None
        return len(solved), recovered


def _done(versions: tuple[Entry, ...], since: date) -> dict[str, date]:
    """Rows whose last entry is done and was set since a day, with the day on which work on them began."""
    first: dict[str, date] = {}
    last: dict[str, Entry] = {}
    for entry in versions:
        if entry.set_at is not None:
            first.setdefault(entry.row_id, entry.set_at.date())
            last[entry.row_id] = entry
    return {
        row_id: first[row_id]
        for row_id, entry in last.items()
        if entry.state == DONE and entry.set_at is not None and entry.set_at.date() >= since
    }


def _joined(rows: pl.DataFrame, standing: Mapping[str, Entry]) -> pl.DataFrame:
    """Rows with the columns of their last entry; a row without one is open and belongs to nobody."""
    entries = [standing.get(row_id) for row_id in rows[ROW_ID].to_list()]
    return rows.with_columns(
        pl.Series("state", [entry.state if entry else OPEN for entry in entries], dtype=pl.String),
        pl.Series("owner", [entry.owner if entry else "" for entry in entries], dtype=pl.String),
        pl.Series("outcome", [entry.outcome if entry else "" for entry in entries], dtype=pl.String),
        pl.Series("note", [entry.note if entry else "" for entry in entries], dtype=pl.String),
        pl.Series("due", [entry.due if entry else None for entry in entries], dtype=pl.Date),
    )
