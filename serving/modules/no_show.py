"""No-show and access: who misses appointments, and how soon one can be had."""

from serving.modules.declaration import Module, Page
from serving.modules.entities import APPOINTMENTS

MODULE = Module(
    name="no_show",
    title="No-show and access",
    has_metrics=True,
    pages=(
        Page(
            key="no_show",
            title="No-show",
            lead="no_show_rate",
            tiles=("no_show_rate", "no_shows", "late_cancel_rate", "cancel_rate", "lead_time_days", "fill_rate"),
            table=("appointments", "no_shows", "no_show_rate", "late_cancel_rate", "lead_time_days"),
            more=("completed_appointments", "third_next_available_days"),
            entities=(*APPOINTMENTS, "authorization", "eligibility_answer", "eligibility_benefit"),
        ),
    ),
)
