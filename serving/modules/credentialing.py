"""Credentials: visits and charges of providers outside their credentials, and credentials that end soon."""

from serving.modules.declaration import Module, Page

# Credentials whose last day is so many days after the day that the data reach, or fewer, end soon.
ENDING_DAYS = 90
MODULE = Module(
    name="credentialing",
    title="Credentials",
    has_metrics=True,
    pages=(
        Page(
            key="credentials",
            title="Credentials",
            lead="visits_outside_credential",
            tiles=("visits_outside_credential", "charges_outside_credential", "billed_outside_credential"),
            table=("visits_outside_credential", "charges_outside_credential", "billed_outside_credential"),
            entities=("provider_service_unit", "encounter", "charge", "claim"),
        ),
    ),
)
