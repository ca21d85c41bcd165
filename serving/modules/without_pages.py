"""Modules that have no page of figures."""

from serving.modules.declaration import Module

MODULES = (
    Module(name="forecasts", title="Forecasts", has_metrics=True),
    Module(name="extracts", title="Extracts"),
    Module(name="reports", title="Reports"),
    Module(name="branding", title="Branding"),
    # For referral partners, who hold metrics by name. Every tenant has it, under every plan.
    Module(name="referrals", title="Referrals", has_metrics=True, is_always_on=True),
)
