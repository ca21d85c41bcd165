"""The overview: the areas at a glance. It belongs to no module; everybody has it who has any."""

from serving.modules.declaration import Page
from serving.modules.entities import APPOINTMENTS, MONEY, VISITS

# Tiles in place of those that a person or a period does not have.
FURTHER = ("cycle_time_minutes", "encounters", "late_cancel_rate", "lead_time_days")
# Names short enough for a tile; the definition beside it has the metric's own.
TILE_NAMES = {
    "ar_over_90_rate": "A/R over 90 days",
    "completed_appointments": "Visits seen",
    "third_next_available_days": "Third next available",
    "wait_time_minutes": "Wait for a room",
    "cycle_time_minutes": "Cycle time",
    "late_cancel_rate": "Late cancellations",
    "lead_time_days": "Lead time",
}
PAGE = Page(
    key="overview",
    title="Overview",
    lead="net_collection_rate",
    tiles=(
        "net_collection_rate",
        "days_in_ar",
        "denial_rate",
        "ar_over_90_rate",
        "no_show_rate",
        "third_next_available_days",
        "completed_appointments",
        "wait_time_minutes",
    ),
    table=("denial_rate", "no_show_rate", "days_in_ar", "completed_appointments"),
    more=(*FURTHER, "denied_billed_amount"),
    entities=(*MONEY, *APPOINTMENTS, *VISITS),
)
