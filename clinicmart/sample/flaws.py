"""What is planted wrong, on purpose and counted: rows a contract refuses, files that are broken or come twice.

None of it counts in any other truth.
"""

import polars as pl

from clinicmart.sample import overlaps
from clinicmart.sample.story import Story
from clinicmart.sample.views import contradictions, draw_views, merge_history

ENDS_BEFORE_START, UNKNOWN_STATUS, NO_SERVICE_DATE = 5, 3, 2
CORRUPT_835, TRUNCATED_835 = "corrupt.835", "truncated.835"
DUPLICATE_PREFIX = "resent_"
GARBLED_HL7, REPEATED_HL7 = "garbled.hl7", "adt-repeated.hl7"


def bad_appointments(good: pl.DataFrame) -> pl.DataFrame:
    """Appointments that end before they start."""
    rows = good.filter(pl.col("status") == "completed").head(ENDS_BEFORE_START)
    return rows.with_columns(
        appointment_id=pl.format("AX{}", pl.int_range(pl.len()) + 1),
        encounter_id=pl.lit(None, dtype=pl.String),
        referral_id=pl.lit(None, dtype=pl.String),
        rescheduled_from_appointment_id=pl.lit(None, dtype=pl.String),
        scheduled_start_at="scheduled_end_at",
        scheduled_end_at="scheduled_start_at",
    )


def bad_charges(good: pl.DataFrame) -> pl.DataFrame:
    """Charges with a status no contract knows, and charges without a service date; on no claim."""
    rows = good.head(UNKNOWN_STATUS + NO_SERVICE_DATE)
    place = pl.int_range(pl.len())
    return rows.with_columns(
        charge_id=pl.format("CX{}", place + 1),
        claim_id=pl.lit(None, dtype=pl.String),
        line_control_number=pl.lit(None, dtype=pl.String),
        reversal_of_charge_id=pl.lit(None, dtype=pl.String),
        status=pl.when(place < UNKNOWN_STATUS).then(pl.lit("pending_review")).otherwise(pl.lit("posted")),
        service_date=pl.when(place < UNKNOWN_STATUS).then("service_date"),
    )


def broken_remittances(story: Story) -> dict[str, bytes]:
    """A file that is not an 835, and one that breaks off before its first claim."""
    payer_id = story.group.electronic_ids[0]
    truncated = (
        f"ISA*00*          *00*          *ZZ*{payer_id:<15}*ZZ*{'CLINICMART':<15}*261030*1800*^*00501*000009999*0*T*:~"
        f"GS*HP*{payer_id}*CLINICMART*20261030*1800*9999*X*005010X221A1~ST*835*0001~"
        f"BPR*H*0.00*C*NON************20261030~TRN*1*EFT9999*1{payer_id}0000~DTM*405*20261030~N1*PR*Nor"
    )
    return {CORRUPT_835: b"\x89\x00\x17corrupt\xff\xfe transfer \x00" * 40, TRUNCATED_835: truncated.encode()}


def planted(story: Story, with_feeds: bool) -> dict[str, object]:
    """The counts, as truths.json holds them. A broken file may be refused whole or as one record: both are right."""
    history, views = merge_history(story), draw_views(story)
    merges = sum(change.is_merge for change in history)
    return {
        "quarantined_rows": {
            "appointment": str(ENDS_BEFORE_START),
            "charge": str(UNKNOWN_STATUS + NO_SERVICE_DATE),
        },
        "appointments_end_before_start": str(ENDS_BEFORE_START),
        "charges_with_unknown_status": str(UNKNOWN_STATUS),
        "charges_without_service_date": str(NO_SERVICE_DATE),
        "merges": str(merges),
        "unmerges": str(len(history) - merges),
        "own_encounter_ids": {
            "ehr": str(len(views.fhir_visits)),
            "adt": str(len(views.registered) + len(views.adt_stays)),
        },
        "contradictions": contradictions(views),
        "overlaps": {
            **overlaps.planted(story),
            "charges_of_dft": str(len(overlaps.charges_of(story, views.registered))),
            "visits_in_error": str(len(views.registered[: overlaps.IN_ERROR])),
        },
        "duplicate_files": "1",
        "repeated_messages": "1" if with_feeds else "0",
        "refused_files": {"remits": [CORRUPT_835]},
        "truncated_files": {"remits": [TRUNCATED_835]},
        "garbled_messages": {"adt": [GARBLED_HL7]} if with_feeds else {},
    }
