"""Which worklists there are."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

OPEN, IN_PROGRESS, WAITING, DONE = "open", "in progress", "waiting", "done"
STATES = (OPEN, IN_PROGRESS, WAITING, DONE)


@dataclass(frozen=True, kw_only=True)
class WorkList:
    """A list of the rows of a metric's drill.

    `metric` names the drill. `key` is the column that names a row. `is_open` is the SQL condition of rows that still wait, beside the
    metric's own. `amount` is the SQL expression of the money at stake, empty where a row has none that is known. `columns` are shown,
    the day first. `outcomes` are what may come of a row. `solved` is the SQL condition of rows that the feeds report as solved,
    `solved_on` the expression of the day, `recovered` that of the money that came in (each empty where the feeds do not say). `is_ahead`:
    the first column is a day to come.
    """

    name: str
    title: str
    metric: str
    owner: str
    key: str
    is_open: str
    columns: tuple[str, ...]
    outcomes: tuple[str, ...]
    solved: str
    amount: str = ""
    solved_on: str = ""
    recovered: str = ""
    is_ahead: bool = False


LISTS: Mapping[str, WorkList] = MappingProxyType(
    {
        item.name: item
        for item in (
            WorkList(
                name="denials",
                title="Denied claims",
                metric="denied_claims",
                owner="Billing",
                key="claim_id",
                is_open="not is_overturned and not is_void",
                amount="denied_amount",
                columns=("decision_date", "service_date", "service_unit_id", "payer_id", "denial_category", "carc"),
                outcomes=(
                    "appealed",
                    "corrected and sent again",
                    "written off",
                    "left to the patient",
                    "no error found",
                ),
                solved="is_denied and is_overturned",
                solved_on="decision_date + cast(denial_resolution_days as integer)",
                recovered="payer_paid_amount",
            ),
            WorkList(
                name="unbilled_visits",
                title="Visits without a charge",
                metric="unbilled_visits",
                owner="Charge entry",
                key="encounter_id",
                is_open="true",
                columns=("encounter_date", "service_unit_id", "provider_id", "payer_id", "visit_type_id"),
                outcomes=("charge entered", "not chargeable", "visit did not take place", "sent to the provider"),
                solved="is_chargeable_visit and not is_unbilled_visit",
            ),
            WorkList(
                name="credits",
                title="Credits not worked",
                metric="open_balance",
                owner="Billing",
                key="charge_line_id",
                is_open="open_balance < 0",
                amount="-open_balance",
                columns=("service_date", "service_unit_id", "provider_id", "payer_id"),
                outcomes=(
                    "refunded to the payer",
                    "refunded to the patient",
                    "moved to another charge",
                    "no error found",
                ),
                solved="open_balance >= 0",
            ),
            WorkList(
                name="slots",
                title="Slots to fill",
                metric="template_slots",
                owner="Front desk",
                key="slot_id",
                is_open="status = 'free' and not has_come",
                columns=("slot_date", "service_unit_id", "provider_id", "visit_type_id"),
                outcomes=("booked", "booked from the waiting list", "kept free on purpose", "session cancelled"),
                solved="is_booked_slot",
                is_ahead=True,
            ),
            WorkList(
                name="authorizations",
                title="Expiring authorisations",
                metric="authorizations_expiring",
                owner="Front desk",
                key="authorization_id",
                is_open="true",
                columns=("valid_to", "service_unit_id", "payer_id", "procedure_code", "left_units"),
                outcomes=("extension asked for", "extended", "visit booked", "no longer needed"),
                # Used up, or extended, before its last day.
                solved="status = 'approved' and not is_expiring and remaining_days >= 0",
                is_ahead=True,
            ),
        )
    }
)
