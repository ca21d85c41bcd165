"""Lineage read off compiled SQL: values and the conditions inside them, through models down to raw tables."""

import pytest

from foundation.errors import ConfigurationError
from serving.lineage.columns import ROWS, Field, Lineage, lineage_of, metric_fields


def source(name: str, *columns: str) -> dict:
    return {
        "resource_type": "source",
        "name": name,
        "identifier": name,
        "schema": "raw",
        "database": "warehouse",
        "columns": {key: {} for key in columns},
    }


def model(name: str, sql: str | None, *needs: str) -> dict:
    return {
        "resource_type": "model",
        "name": name,
        "alias": name,
        "schema": "marts",
        "database": "warehouse",
        "columns": {},
        "compiled_code": sql,
        "depends_on": {"nodes": list(needs)},
    }


MANIFEST = {
    "sources": {
        "charge": source("charge", "charge_id", "claim_id", "billed_amount", "status"),
        "claim": source("claim", "claim_id", "payer_id"),
        "batch": source("batch"),
    },
    "nodes": {
        "stg": model(
            "stg_charges", 'with source as (select * from "warehouse"."raw"."charge") select * from source', "charge"
        ),
        "fct": model(
            "fct_charges",
            """
            with joined as (
                select c.charge_id, claim.payer_id, case when c.status = 'void' then 0 else c.billed_amount end as billed
                from "warehouse"."marts"."stg_charges" as c
                left join "warehouse"."raw"."claim" as claim on c.claim_id = claim.claim_id
            )
            select payer_id, sum(billed) as billed_amount, count(*) as charges, 'USD' as currency from joined group by 1
            union all
            select 'none', 0, 0, 'USD'
            """,
            "stg",
            "claim",
        ),
        "batches": model("batch", 'select rows_landed from "warehouse"."raw"."batch"', "batch"),
        "test": {"resource_type": "test", "name": "t"},
    },
}


@pytest.fixture(scope="module")
def lineage() -> Lineage:
    return lineage_of(MANIFEST)


def test_a_value_leads_to_its_fields_and_the_conditions_inside_it(lineage: Lineage) -> None:
    assert lineage.sources("fct_charges", "billed_amount") == (
        Field("raw.charge", "billed_amount"),
        Field("raw.charge", "status"),
    )
    assert lineage.sources("fct_charges", "payer_id") == (Field("raw.claim", "payer_id"),)


def test_counts_and_constants_have_no_fields_but_their_rows_have_entities(lineage: Lineage) -> None:
    assert lineage.sources("fct_charges", "charges") == ()
    assert lineage.sources("fct_charges", "currency") == ()
    assert lineage.entities("fct_charges") == ("charge", "claim")


def test_a_table_without_a_contract_is_told_by_those_who_read_it(lineage: Lineage) -> None:
    assert lineage.sources("batch", "rows_landed") == (Field("raw.batch", "rows_landed"),)


def test_lineage_survives_its_file(lineage: Lineage) -> None:
    assert Lineage.from_json(lineage.to_json()) == lineage


def test_a_project_that_was_never_built_says_so() -> None:
    nodes = {"stg": model("stg_charges", None, "charge")}
    with pytest.raises(ConfigurationError, match="stg_charges is not compiled"):
        lineage_of({"sources": MANIFEST["sources"], "nodes": nodes})


def test_a_metric_names_the_columns_of_every_part_and_filter() -> None:
    measures = [
        {"name": "paid", "expr": "case when is_open then 0 else paid_amount end"},
        {"name": "billed_amount"},
        {"name": "charges", "expr": "1"},
    ]
    semantic = {
        "semantic_models": [
            {
                "node_relation": {"alias": "fct"},
                "measures": measures,
                "dimensions": [{"name": "payer_class", "expr": "coalesce(payer_class, 'none')"}],
            }
        ],
        "metrics": [
            {"name": "charges", "type_params": {"measure": {"name": "charges"}}},
            {"name": "paid", "type_params": {"measure": {"name": "paid"}}},
            {
                "name": "billed",
                "type_params": {"measure": {"name": "billed_amount"}},
                "filter": {"where_filters": [{"where_sql_template": "{{ Dimension('charge__payer_class') }} = 'a'"}]},
            },
            {"name": "rate", "type_params": {"numerator": {"name": "paid"}, "denominator": {"name": "billed"}}},
        ],
    }
    assert metric_fields(semantic, "rate") == (
        Field("fct", "billed_amount"),
        Field("fct", "is_open"),
        Field("fct", "paid_amount"),
        Field("fct", "payer_class"),
    )
    assert metric_fields(semantic, "charges") == (Field("fct", ROWS),)
    with pytest.raises(ConfigurationError, match="no metric 'unknown'"):
        metric_fields(semantic, "unknown")


def test_an_identifier_that_a_map_rewrites_rests_on_its_own_row() -> None:
    keys = model(
        "keys", 'select claim_id as identifier, claim_id as issued_key from "warehouse"."raw"."claim"', "claim"
    )
    charges = model(
        "stg_charges",
        'select coalesce(keys.issued_key, c.claim_id) as claim_id, keys.issued_key from "warehouse"."raw"."charge" as c '
        'left join "warehouse"."marts"."keys" as keys on c.claim_id = keys.identifier',
        "charge",
        "keys",
    )
    made = {**MANIFEST, "nodes": {"keys": keys, "stg": charges}}
    on_both = (Field("raw.charge", "claim_id"), Field("raw.claim", "claim_id"))
    assert lineage_of(made).sources("stg_charges", "claim_id") == on_both
    keys["meta"] = {"maps_identifiers": True}
    found = lineage_of(made)
    assert found.sources("stg_charges", "claim_id") == on_both[:1]
    assert found.sources("stg_charges", "issued_key") == on_both[1:], "it has nothing else"
