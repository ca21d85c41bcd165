"""Modules that have no page of figures."""

from serving.modules.declaration import Module

MODULES = (
    Module(
        name="forecasts",
        title="Forecasts",
        roles=("organization_admin", "executive", "program_manager", "analyst"),
        has_metrics=True,
    ),
    Module(name="extracts", title="Extracts", roles=("organization_admin", "analyst")),
    Module(name="reports", title="Reports", roles=("organization_admin", "executive", "program_manager")),
    Module(name="branding", title="Branding", roles=("organization_admin",)),
    # A partner sees the referrals it sent. Every tenant has it, under every plan.
    Module(name="referrals", title="Referrals", roles=("referral_partner",), has_metrics=True, is_always_on=True),
)
