"""Payer mix: who pays for what is done. Its tiles are payer classes of a base that the reader chooses."""

from serving.modules.declaration import Module, Page

MODULE = Module(
    name="payer_mix",
    title="Payer mix",
    has_metrics=True,
    is_about_money=True,
    pages=(
        Page(
            key="payer_mix",
            title="Payer mix",
            lead="payer_mix_billed",
            tiles=("payer_mix_billed", "payer_mix_paid", "payer_mix_encounters", "payer_mix_patients"),
            more=("billed_amount", "allowed_amount", "payer_paid_amount", "encounters", "patients"),
            entities=("remittance_claim", "claim", "charge", "encounter", "coverage"),
        ),
    ),
)
