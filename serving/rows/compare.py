"""Two figures side by side down to their rows: which rows only one of them has, and which both have with different values.

Rows are matched by a column that names a record in both tables (a claim, an appointment). Where several rows of a table have the
same one (lines of a claim), their values are added up first, so that the parts add up to the difference of the figures.
"""

from decimal import Decimal

import polars as pl

from foundation.errors import ConfigurationError
from serving.model import Drill, RowDifference, RowsOfSide

# The most rows of one side. Who compares more narrows the figure.
MOST_COMPARED = 200_000
MOST_SHOWN = 25
# Records that rows of different tables have in common, where neither names the row of the other.
_SHARED = ("claim_id", "charge_line_id", "encounter_id", "appointment_id", "referral_id")
_VALUE, _KEY = "//value", "//key"


def compare(mine: Drill, theirs: Drill, *, restricted_to: str = "") -> RowDifference:
    """The difference of two drills that hold all their rows. `restricted_to` names the column to match by; it is found else.

    Raises ConfigurationError where the rows have no record in common, or where a drill does not hold all its rows.
    """
    for side in (mine, theirs):
        if side.frame.height < side.total_rows:
            raise ConfigurationError(
                f"{side.total_rows:,} rows are more than the {MOST_COMPARED:,} that are compared; narrow the figure"
            )
    key = restricted_to or shared_key(mine, theirs)
    left, right = _by_key(mine, key), _by_key(theirs, key)
    both = left.join(right, on=_KEY, how="inner", suffix="//theirs")
    differing = both.filter(pl.col(_VALUE) != pl.col(f"{_VALUE}//theirs"))
    only_mine, only_theirs = left.join(right, on=_KEY, how="anti"), right.join(left, on=_KEY, how="anti")
    return RowDifference(
        key=key,
        mine=_side(mine, key, left),
        theirs=_side(theirs, key, right),
        only_mine=_side(mine, key, only_mine),
        only_theirs=_side(theirs, key, only_theirs),
        differing=_differing(mine, key, differing),
        same=both.height - differing.height,
    )


def shared_key(mine: Drill, theirs: Drill) -> str:
    """The column to match rows by: the key of either table that the other has too, else a record that both name."""
    wanted = (mine.source_key, theirs.source_key, *_SHARED)
    for name in wanted:
        if name and name in mine.frame.columns and name in theirs.frame.columns:
            return name
    raise ConfigurationError("the rows of these figures have no record in common, so they cannot be matched")


def _by_key(side: Drill, key: str) -> pl.DataFrame:
    """A row a record: its value, added up."""
    value = pl.lit(Decimal(1)) if side.value_column is None else pl.col(side.value_column)
    frame = side.frame.select(pl.col(key).cast(pl.String).alias(_KEY), value.cast(pl.Decimal(38, 6)).alias(_VALUE))
    return frame.drop_nulls(_KEY).group_by(_KEY, maintain_order=True).agg(pl.col(_VALUE).sum())


def _rows_of(side: Drill, key: str, keys: pl.DataFrame) -> pl.DataFrame:
    return side.frame.join(keys.select(_KEY), left_on=pl.col(key).cast(pl.String), right_on=_KEY, how="semi")


def _side(side: Drill, key: str, records: pl.DataFrame) -> RowsOfSide:
    value = records[_VALUE].sum() if records.height else Decimal(0)
    frame = _rows_of(side, key, records.head(MOST_SHOWN)).head(MOST_SHOWN)
    return RowsOfSide(rows=records.height, value=Decimal(value), frame=frame)


def _differing(mine: Drill, key: str, records: pl.DataFrame) -> RowsOfSide:
    """Records that both have; their value is the sum of mine less theirs."""
    gap = (records[_VALUE] - records[f"{_VALUE}//theirs"]).sum() if records.height else Decimal(0)
    shown = records.head(MOST_SHOWN).rename({_VALUE: "mine", f"{_VALUE}//theirs": "theirs"})
    rows = _rows_of(mine, key, shown).unique(key, maintain_order=True)
    frame = rows.join(shown, left_on=pl.col(key).cast(pl.String), right_on=_KEY, how="left").drop(_KEY, strict=False)
    return RowsOfSide(rows=records.height, value=Decimal(gap), frame=frame.head(MOST_SHOWN))
