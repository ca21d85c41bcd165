"""Whose a kept row is where a user name was given to somebody new (`serving.people.leaving`)."""

from sqlalchemy import ColumnElement, Table, select

from serving.people.tables import USER


def is_of_holder(table: Table, email: str, made_at: str = "made_at", holder: str = "email") -> ColumnElement[bool]:
    """Whether a row of a table is of the present holder of a user name, not of an earlier one who left. The table has tenant_id, a column
    of user names, named by `holder`, and the column named by `made_at`, a time in UTC."""
    left_at = (
        select(USER.c.left_at)
        .where(USER.c.tenant_id == table.c.tenant_id, USER.c.email == table.c[holder])
        .scalar_subquery()
    )
    return (table.c[holder] == email) & (left_at.is_(None) | (table.c[made_at] > left_at))
