"""Whose a kept row is where a user name was given to somebody new (`serving.people.leaving`)."""

from sqlalchemy import ColumnElement, Table, select

from serving.people.tables import USER


def is_of_holder(table: Table, email: str, made_at: str = "made_at") -> ColumnElement[bool]:
    """Whether a row of a table is of the present holder of a user name, not of an earlier one who left. The table has tenant_id, email and
    the column named by `made_at`, a time in UTC."""
    left_at = (
        select(USER.c.left_at)
        .where(USER.c.tenant_id == table.c.tenant_id, USER.c.email == table.c.email)
        .scalar_subquery()
    )
    return (table.c.email == email) & (left_at.is_(None) | (table.c[made_at] > left_at))
