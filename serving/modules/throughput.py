"""Throughput: how many people are seen, how long they wait and stay, and how full the beds are."""

from serving.modules.declaration import Module, Page
from serving.modules.entities import VISITS

MODULE = Module(
    name="throughput",
    title="Throughput",
    has_metrics=True,
    pages=(
        Page(
            key="throughput",
            title="Throughput",
            lead="encounters",
            tiles=(
                "encounters",
                "visits_per_hour",
                "cycle_time_minutes",
                "wait_time_minutes",
                "bed_occupancy_rate",
                "length_of_stay_days",
            ),
            table=(
                "encounters",
                "visits_per_hour",
                "cycle_time_minutes",
                "wait_time_minutes",
                "bed_days",
                "length_of_stay_days",
            ),
            entities=(*VISITS, "staff_shift"),
        ),
    ),
)
