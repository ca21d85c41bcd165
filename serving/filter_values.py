"""Whether the values of a question's filters exist: no row has one that does not, and an empty answer would look like a figure."""

from collections.abc import Mapping

from foundation.errors import ConfigurationError
from foundation.near_names import near
from serving.model import Filter
from serving.reader import Reader

# The value of rows whose dimension is not known.
UNKNOWN_VALUE = "unknown"


def checked_filters(reader: Reader, conditions: Mapping[str, Filter]) -> dict[str, Filter]:
    """The filters (dimension to a value or several). A dimension that is not known is left to the question.

    Raises ConfigurationError, with near values, for a value that the dimension does not have within the person's scope.
    """
    for name, values in conditions.items():
        try:
            members = reader.dimension_values(name)
        except ConfigurationError:
            continue
        ids = {str(value) for value in members["id"].drop_nulls()} | {UNKNOWN_VALUE}
        for value in [values] if isinstance(values, str) else values:
            if value not in ids:
                named = {row["name"]: str(row["id"]) for row in members.drop_nulls("id").iter_rows(named=True)}
                hint = f"; its id is {named[value]}" if value in named else near(value, ids - {UNKNOWN_VALUE})
                raise ConfigurationError(f"{name}={value}: the dimension has no such value{hint}")
    return dict(conditions)
