"""The overview: the areas at a glance. It belongs to no module; everybody has it who has any."""

from serving.modules.declaration import Page
from serving.modules.entities import APPOINTMENTS, MONEY, VISITS

# The sixth tile is the first of these that the person has.
SIXTH = ("third_next_available_days", "cycle_time_minutes", "encounters")
# The trend shows the first of these that the person has.
MAIN = ("payer_paid_amount", "encounters", "completed_appointments", "claims", "bed_days")
PAGE = Page(
    key="overview",
    title="Overview",
    lead="net_collection_rate",
    tiles=("net_collection_rate", "days_in_ar", "denial_rate", "no_show_rate", "completed_appointments"),
    table=(
        "completed_appointments",
        "encounters",
        "no_show_rate",
        "billed_amount",
        "denial_rate",
        "net_collection_rate",
    ),
    more=(*SIXTH, *MAIN),
    entities=(*MONEY, *APPOINTMENTS, *VISITS),
)
