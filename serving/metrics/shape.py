"""A question to the metrics without its values, and the error for a question that cannot be compiled."""

from dataclasses import dataclass

from foundation.errors import ClinicmartError


class MetricError(ClinicmartError):
    """A question that the registry allows cannot be compiled: a fault of the models."""


@dataclass(frozen=True, kw_only=True)
class Shape:
    """A question without its values: MetricFlow's names for groups, and conditions with named parameters."""

    metrics: tuple[str, ...]
    group_by: tuple[str, ...]
    where: tuple[str, ...]
