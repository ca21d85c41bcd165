"""The metrics that the fake reader answers: label, unit, direction, module and how each is counted."""

from dataclasses import dataclass

import polars as pl


@dataclass(frozen=True)
class Rule:
    """A fake metric: numerator, denominator (None: a sum or a count); a share divides by the same over all payers."""

    top: pl.Expr
    bottom: pl.Expr | None = None
    share: bool = False


def _count(name: str) -> pl.Expr:
    return pl.col(name).sum()


RULES: dict[str, tuple[str, str, str, str, Rule]] = {
    "appointments": ("Appointments", "count", "neutral", "no_show", Rule(pl.len())),
    "expected_appointments": ("Expected appointments", "count", "neutral", "no_show", Rule(_count("expected"))),
    "completed_appointments": ("Completed appointments", "count", "higher", "no_show", Rule(_count("done"))),
    "no_shows": ("No-shows", "count", "lower", "no_show", Rule(_count("no_show"))),
    "no_show_rate": ("No-show rate", "percent", "lower", "no_show", Rule(_count("no_show"), _count("expected"))),
    "late_cancel_rate": (
        "Late-cancellation rate",
        "percent",
        "lower",
        "no_show",
        Rule(_count("late_cancel"), _count("past")),
    ),
    "cancel_rate": ("Cancellation rate", "percent", "lower", "no_show", Rule(_count("cancelled"), _count("past"))),
    "lead_time_days": (
        "Lead time, mean (from booking)",
        "days",
        "lower",
        "no_show",
        Rule(pl.col("lead_time_days").sum(), pl.len()),
    ),
    "encounters": ("Encounters", "count", "higher", "throughput", Rule(_count("done"))),
    "patients": (
        "Patients",
        "count",
        "higher",
        "throughput",
        Rule(pl.col("patient").filter(pl.col("done")).n_unique()),
    ),
    "cycle_time_minutes": (
        "Cycle time, mean",
        "minutes",
        "lower",
        "throughput",
        Rule(pl.col("cycle").sum(), pl.col("cycle").count()),
    ),
    "wait_time_minutes": (
        "Wait for a room, mean",
        "minutes",
        "lower",
        "throughput",
        Rule(pl.col("wait").sum(), pl.col("wait").count()),
    ),
    "billed_amount": ("Billed", "usd", "neutral", "revenue_cycle", Rule(_count("billed"))),
    "payer_paid_amount": ("Paid by payers", "usd", "higher", "revenue_cycle", Rule(_count("paid"))),
    "patient_paid_amount": ("Paid by patients", "usd", "higher", "revenue_cycle", Rule(_count("patient_paid"))),
    "adjusted_amount": ("Adjusted", "usd", "neutral", "revenue_cycle", Rule(_count("adjusted"))),
    "open_balance": ("Open balance", "usd", "lower", "revenue_cycle", Rule(_count("open"))),
    "remitted_claims": ("Answered claims", "count", "neutral", "revenue_cycle", Rule(_count("answered"))),
    "claims": ("Claims", "count", "neutral", "revenue_cycle", Rule(_count("done"))),
    "denied_billed_amount": (
        "Billed on denied claims",
        "usd",
        "lower",
        "revenue_cycle",
        Rule(pl.col("billed").filter(pl.col("denied")).sum()),
    ),
    "first_decided_amount": (
        "Billed on decided claims",
        "usd",
        "neutral",
        "revenue_cycle",
        Rule(pl.col("billed").filter(pl.col("answered")).sum()),
    ),
    "denied_claims": ("Denied claims", "count", "lower", "revenue_cycle", Rule(_count("denied"))),
    "denial_rate": ("Denial rate", "percent", "lower", "revenue_cycle", Rule(_count("denied"), _count("answered"))),
    "net_collection_rate": (
        "Net collection rate",
        "percent",
        "higher",
        "revenue_cycle",
        Rule(_count("paid") + _count("patient_paid"), _count("billed") - _count("adjusted")),
    ),
    "ar_over_90_rate": (
        "Open balance over 90 days",
        "percent",
        "lower",
        "revenue_cycle",
        Rule(pl.col("open").filter(pl.col("ageing_bucket").is_in(["91-120", "over 120"])).sum(), _count("open")),
    ),
    "payer_mix_billed": (
        "Share of what is billed",
        "percent",
        "neutral",
        "payer_mix",
        Rule(_count("billed"), share=True),
    ),
    "payer_mix_paid": (
        "Share of what payers paid",
        "percent",
        "neutral",
        "payer_mix",
        Rule(_count("paid"), share=True),
    ),
}
# What a rate is counted from, and when a figure has settled, as metrics say it in their definitions.
OUT_OF = {"no_show_rate": "expected_appointments", "denial_rate": "remitted_claims"}
KNOWN_ON = dict.fromkeys(
    ("denial_rate", "remitted_claims", "denied_billed_amount", "first_decided_amount"), "answered_date"
)
MATURES = {
    "denial_rate": (60, "answers"),
    "denied_billed_amount": (60, "answers"),
    "first_decided_amount": (60, "answers"),
    "net_collection_rate": (120, "money"),
    "payer_paid_amount": (120, "money"),
    "patient_paid_amount": (120, "money"),
}
DIMENSIONS = (
    "service_unit",
    "provider",
    "payer",
    "payer_class",
    "visit_type",
    "weekday",
    "hour_of_day",
    "lead_time_band",
    "denial_category",
    "ageing_bucket",
)
