"""Revenue cycle: from the bill to the payment, the denial or the write-off."""

from serving.modules.declaration import Module, Page
from serving.modules.entities import MONEY

MODULE = Module(
    name="revenue_cycle",
    title="Revenue cycle",
    has_metrics=True,
    is_about_money=True,
    pages=(
        Page(
            key="revenue_cycle",
            title="Revenue cycle",
            lead="denial_rate",
            tiles=(
                "billed_amount",
                "net_collection_rate",
                "denial_rate",
                "days_in_ar",
                "ar_over_90_rate",
                "underpaid_amount",
            ),
            table=("billed_amount", "payer_paid_amount", "open_balance", "denial_rate", "net_collection_rate"),
            entities=(*MONEY, "diagnosis"),
        ),
    ),
)
