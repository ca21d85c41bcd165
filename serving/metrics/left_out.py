"""Why a row does not count in a figure: reasons in order, out of the condition of a metric and what its columns say.

    reasons("is_submitted and is_denied", columns)     # a reason for rows without a submission, then for those that were not denied

A condition is taken apart at its ANDs. A row belongs to the first part that it fails. What a column means for rows that fail it stands in
`config.meta.left_out` of the model, a list: `{when: condition, says: words}`; `{as: flag}`, the reasons of rows without another flag; last
`{says: words}` for all that remain, or `{by: column}`, which names them by the value of a column. Comparisons speak for themselves
("Billed amount: 0").
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from sqlglot import exp, parse_one

from foundation.errors import ConfigurationError
from serving.metrics.registry import LeftOut, TableColumn

OTHERS = "Other rows"
# What a row has that fails a comparison.
_FAILED: Mapping[type[exp.Expr], str] = {
    exp.GT: "{} or less",
    exp.GTE: "below {}",
    exp.LT: "{} or more",
    exp.LTE: "above {}",
    exp.EQ: "not {}",
}


def left_out_of(entries_by_column: Mapping[str, Any], column: str) -> tuple[LeftOut, ...]:
    """What a column says of rows that do not have it; `entries_by_column` are the entries of `left_out` of all columns of its table.

    Raises ConfigurationError where an entry is not as the module says.
    """
    return tuple(_entries(entries_by_column, column, (column,)))


def _entries(entries_by_column: Mapping[str, Any], column: str, path: tuple[str, ...]) -> Iterator[LeftOut]:
    entries = entries_by_column.get(column) or ()
    for place, entry in enumerate(entries, start=1):
        match sorted(entry):
            case ["says", "when"]:
                yield LeftOut(words=str(entry["says"]), condition=str(entry["when"]))
            case ["as"] if place < len(entries) and entry["as"] in entries_by_column and entry["as"] not in path:
                without = f"not coalesce({entry['as']}, false)"
                for reason in _entries(entries_by_column, entry["as"], (*path, entry["as"])):
                    when = f"{without} and coalesce(({reason.condition}), false)" if reason.condition else without
                    yield replace(reason, condition=when)
            case ["says"] if place == len(entries):
                yield LeftOut(words=str(entry["says"]))
            case ["by"] if place == len(entries):
                yield LeftOut(words=title(entry["by"]), by=str(entry["by"]))
            case _:
                raise ConfigurationError(
                    f"column {column}: left_out {place} is not {{when, says}} or {{as}}, nor a last {{says}} or {{by}}"
                )


def title(column: str) -> str:
    """A column in words: `billed_amount` is Billed amount."""
    bare = column.removeprefix("is_").removeprefix("has_").removesuffix("_id")
    return bare.replace("_", " ").capitalize()


def reasons(condition: str, columns: Mapping[str, TableColumn]) -> tuple[LeftOut, ...]:
    """The reasons of rows for which a condition is not true, in order; every such row meets at least one of them, and belongs to the
    first that it meets. Empty for a condition that every row meets."""
    if condition in ("", "true"):
        return ()
    tree = parse_one(condition, read="duckdb").unnest()
    parts = tree.flatten() if isinstance(tree, exp.And) else [tree]
    return tuple(reason for part in parts for reason in _of_part(part.unnest(), columns))


def _of_part(part: exp.Expr, columns: Mapping[str, TableColumn]) -> Iterator[LeftOut]:
    fails = f"not coalesce(({part.sql(dialect='duckdb')}), false)"
    column = next(iter(part.find_all(exp.Column)), None)
    own_reasons = columns[column.name].left_out if column is not None and column.name in columns else ()
    if _is_compared(part) and column is not None and part.this.unnest() is column:
        yield from _of_comparison(part, column.name, columns, fails)
        return
    if own_reasons and _asks_for(part):
        for reason in own_reasons:
            when = f"{fails} and coalesce(({reason.condition}), false)" if reason.condition else fails
            yield LeftOut(words=reason.words, condition=when, by=reason.by)
        return
    yield LeftOut(words=_failed(part, columns), condition=fails)


def _of_comparison(part: exp.Expr, column: str, columns: Mapping[str, TableColumn], fails: str) -> Iterator[LeftOut]:
    held = columns.get(column)
    if held is not None and held.data_type.upper().startswith("VARCHAR"):
        yield LeftOut(words=title(column), condition=fails, by=column)
        return
    is_null = f'"{column}" is null'
    for reason in held.left_out if held is not None else ():
        when = f"{is_null} and coalesce(({reason.condition}), false)" if reason.condition else is_null
        yield LeftOut(words=reason.words, condition=when, by=reason.by)
    yield LeftOut(words=f"{title(column)} not known", condition=is_null)
    yield LeftOut(words=_failed(part, columns), condition=fails)


def _is_compared(part: exp.Expr) -> bool:
    return isinstance(part, (exp.NEQ, exp.In, *_FAILED))


def _asks_for(part: exp.Expr) -> bool:
    """Whether a part asks for what its first column says: the flag itself, that it is known, or one of several things."""
    if isinstance(part, exp.Or):
        return _asks_for(next(iter(part.flatten())).unnest())
    is_known = isinstance(part, exp.Not) and isinstance(part.this.unnest(), exp.Is)
    return is_known or isinstance(part, exp.Column)


def _failed(part: exp.Expr, columns: Mapping[str, TableColumn]) -> str:
    """What is so of a row that fails a part, in words."""
    part = part.unnest()
    if isinstance(part, exp.Or):
        return _capital(" and ".join(_lower(_failed(item, columns)) for item in part.flatten()))
    if isinstance(part, exp.And):
        return _capital(" or ".join(_lower(_failed(item, columns)) for item in part.flatten()))
    if isinstance(part, exp.Column):
        own_reasons = columns[part.name].left_out if part.name in columns else ()
        return own_reasons[-1].words if own_reasons and not own_reasons[-1].by else f"Not {title(part.name).lower()}"
    if isinstance(part, exp.Not):
        return _true_of(part.this.unnest(), columns)
    if isinstance(part, exp.Is):
        return f"{_title_of(part.this)} known"
    if isinstance(part, exp.NEQ):
        return f"{_title_of(part.this)}: {part.expression.sql()}"
    if isinstance(part, exp.In):
        return f"{_title_of(part.this)}: another"
    words, limit = _FAILED.get(type(part)), part.args.get("expression")
    if words is None:
        return OTHERS
    return f"{_title_of(part.this)}: {words.format(limit.this) if isinstance(limit, exp.Literal) else 'otherwise'}"


def _true_of(part: exp.Expr, columns: Mapping[str, TableColumn]) -> str:
    """What is so of a row for which a part is true, in words."""
    part = part.unnest()
    if isinstance(part, exp.Coalesce):
        return _true_of(part.this, columns)
    if isinstance(part, exp.And):
        return _capital(" and ".join(_lower(_true_of(item, columns)) for item in part.flatten()))
    if isinstance(part, exp.Not) and isinstance(part.this.unnest(), exp.Column):
        return f"Not {_lower(_true_of(part.this, columns))}"
    if isinstance(part, exp.Is):
        return f"{_title_of(part.this)} not known"
    return title(part.name) if isinstance(part, exp.Column) else OTHERS


def _title_of(value: exp.Expr) -> str:
    names = list(dict.fromkeys(column.name for column in value.find_all(exp.Column)))
    signs: Mapping[type[exp.Expr], str] = {exp.Sub: " less ", exp.Add: " plus "}
    sign = signs.get(type(value.unnest()), ", ")
    first, *others = [title(name) for name in names] or [OTHERS]
    return sign.join([first, *(_lower(name) for name in others)])


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
