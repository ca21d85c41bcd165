"""Which columns of a row are shown first: a table that fits a page or a terminal."""

import re

import polars as pl

MOST_COLUMNS = 11
# Where a row was read from stands last: the feed and the place in what it brought, which `clinicmart source` opens.
ORIGIN = ("source_system", "source_position")
LEFT_OUT = re.compile(r"tenant_id|batch_id|source_.*|is_.*|.*_key|.*_position|local_.*|updated_at|time_zone")
# What a reader of rows looks for, in this order; the row's own number stands before all of it.
ORDER = (
    r"(appointment|service|encounter|bed|claim|snapshot|paid|posted|slot|month_end)_date",
    r".*_date",
    r"service_unit_id",
    r"provider_id",
    r"payer_id",
    r"payer_class",
    r"visit_type_id",
    r"outcome|status|denial_category|.*_status",
    r"(billed|allowed|payer_paid|patient_paid|adjusted|denied)_amount|open_balance",
    r".*_(amount|balance|minutes|days)",
    r"patient_id",
)


def chosen_columns(frame: pl.DataFrame) -> list[str]:
    """At most MOST_COLUMNS columns, in the order of ORDER; bookkeeping, keys and columns without any value are left out. The feed and
    the place of a row in it come last."""
    first = frame.columns[1] if frame.columns and frame.columns[0] == "tenant_id" and frame.width > 1 else ""
    first = first or (frame.columns[0] if frame.columns else "")

    def rank(name: str) -> tuple[int, int]:
        place = next((index for index, pattern in enumerate(ORDER) if re.fullmatch(pattern, name)), len(ORDER))
        return (-1 if name == first else place, frame.columns.index(name))

    wanted = [
        name
        for name in frame.columns
        if not LEFT_OUT.fullmatch(name) and (frame.height == 0 or frame[name].null_count() < frame.height)
    ]
    origin = [name for name in ORIGIN if name in frame.columns and frame[name].null_count() < frame.height]
    return [*sorted(wanted, key=rank)[:MOST_COLUMNS], *(origin if len(origin) == len(ORIGIN) else [])]
