"""A small published warehouse, made without dbt: two tenants that share every identifier, and one semantic manifest.

The tree of each tenant is group > east, west; east > imaging, lab. Numbers differ by tenant: what holds for harbor never
holds for mesa, so that a row of the wrong tenant shows in any figure.
"""

import json
from pathlib import Path
from typing import Any

from foundation import duck
from foundation.home import Home
from foundation.keys import Keys

TENANTS = ("harbor", "mesa")
_UNITS = "('group', null, 1), ('east', 'group', 2), ('west', 'group', 2), ('imaging', 'east', 3), ('lab', 'east', 3)"

HEALTH = ("feed_status", "batch", "refused_unit", "quarantine_reason", "feed_alert", "plausibility")

TABLES = f"""
create schema warehouse.marts;
create schema warehouse.health;
create table warehouse.marts.dim_tenants as
  select * from (values ('harbor', 'Harbor Health', 'America/New_York', date '2026-03-31'),
    ('mesa', 'Mesa Verde Clinics', 'America/Denver', date '2026-02-28')) as t (tenant_id, name, time_zone, data_as_of_date);
create table warehouse.marts.dim_dates as
  select cast(day as date) as date_day from generate_series(timestamp '2025-01-01', timestamp '2027-12-31', interval 1 day) as s (day);
create table warehouse.marts.dim_service_units as
  with units as (select * from (values {_UNITS}, ('unknown', null, 1)) as u (service_unit_id, parent_service_unit_id, depth)),
  paths as (select *, case service_unit_id when 'group' then '/group/' when 'unknown' then '/unknown/'
    when 'east' then '/group/east/' when 'west' then '/group/west/' else '/group/east/' || service_unit_id || '/' end as path
    from units)
  select tenant_id || '|' || service_unit_id as service_unit_key, tenant_id, service_unit_id,
    name || ' ' || service_unit_id as name, case depth when 1 then 'organization' when 2 then 'business_unit' else 'clinic' end
    as unit_type, parent_service_unit_id, path, depth,
    split_part(path, '/', 2) as level_1_id,
    coalesce(nullif(split_part(path, '/', 3), ''), service_unit_id) as level_2_id,
    coalesce(nullif(split_part(path, '/', 4), ''), service_unit_id) as level_3_id,
    service_unit_id as level_4_id, service_unit_id as level_5_id, service_unit_id as level_6_id,
    name || ' ' || level_1_id as level_1_name, name || ' ' || level_2_id as level_2_name,
    name || ' ' || level_3_id as level_3_name, name || ' ' || service_unit_id as level_4_name,
    name || ' ' || service_unit_id as level_5_name, name || ' ' || service_unit_id as level_6_name,
    row_number() over (partition by tenant_id order by depth, service_unit_id) as sort_order
  from paths, (select tenant_id, name from warehouse.marts.dim_tenants);
create table warehouse.marts.dim_providers as
  select tenant_id || '|' || p as provider_key, tenant_id, p as provider_id, tenant_id || ' doctor ' || p as name
  from warehouse.marts.dim_tenants, (values ('p1'), ('p2'), ('p3'), ('unknown')) as t (p);
create table warehouse.marts.dim_payers as
  select tenant_id || '|' || p as payer_key, tenant_id, p as payer_id, tenant_id || ' payer ' || p as name
  from warehouse.marts.dim_tenants, (values ('aetna'), ('medicare'), ('unknown')) as t (p);
create table warehouse.marts.dim_patients as
  select tenant_id || '|' || 't' || i as patient_key, tenant_id, 't' || i as patient_id,
    cast(1930 + i as integer) as birth_year, case when i % 2 = 0 then '036' else '021' end as zip3
  from warehouse.marts.dim_tenants, range(10) as r (i);
create table warehouse.marts.fct_visits as
  select tenant_id, 'v' || i as visit_id, tenant_id || '|t' || (i % 10) as patient_key, 't' || (i % 10) as patient_id,
    tenant_id || '|' || unit as service_unit_key, unit as service_unit_id,
    tenant_id || '|' || provider as provider_key, provider as provider_id,
    case when i % 3 = 0 then 'commercial' else 'medicare' end as payer_class, cast(i % 24 as integer) as hour_of_day,
    i % 10 <> 7 as is_visit, case when i % 4 = 0 then null else cast(10 + i % 5 as double) end as cycle_minutes,
    date '2026-01-01' + cast(i % 90 as integer) as visit_date, 'feed file of ' || tenant_id as source_position
  from (select tenant_id, i, ['imaging', 'lab', 'west', 'east', 'unknown'][1 + i % 5] as unit,
      ['p1', 'p2', 'p3'][1 + i % 3] as provider
    from warehouse.marts.dim_tenants, range(300) as r (i) where tenant_id = 'harbor' or i < 100);
create table warehouse.marts.fct_charges as
  select tenant_id, 'c' || i as charge_id, tenant_id || '|t' || (i % 10) as patient_key, 't' || (i % 10) as patient_id,
    tenant_id || '|' || unit as service_unit_key, unit as service_unit_id,
    tenant_id || '|' || provider as provider_key, provider as provider_id,
    tenant_id || '|' || payer as payer_key, payer as payer_id,
    case payer when 'aetna' then 'commercial' when 'medicare' then 'medicare' else 'unmapped' end as payer_class,
    cast(case tenant_id when 'harbor' then 100.25 else 7.5 end as decimal(18, 4)) as billed_amount,
    i % 4 = 0 as is_denied, date '2026-01-01' + cast(i % 60 as integer) as service_date,
    date '2026-01-01' + cast(i % 60 + i % 40 as integer) as decided_date
  from (select tenant_id, i, ['imaging', 'lab', 'west'][1 + i % 3] as unit, ['p1', 'p2', 'p3'][1 + i % 3] as provider,
      ['aetna', 'medicare', 'unknown', 'aetna'][1 + i % 4] as payer
    from warehouse.marts.dim_tenants, range(120) as r (i) where tenant_id = 'harbor' or i < 60);
-- The balance of aetna was paid off in January: it has no row in February or March.
create table warehouse.marts.fct_balances as
  select tenant_id, tenant_id || '|' || unit as service_unit_key, unit as service_unit_id, tenant_id || '|' || payer as payer_key,
    payer as payer_id, snapshot_date, strftime(snapshot_date, '%Y-%m') || unit || payer as balance_key,
    cast(case tenant_id when 'harbor' then 10 else 3 end * month(snapshot_date) as decimal(18, 4)) as open_amount
  from warehouse.marts.dim_tenants, (values ('lab'), ('west')) as u (unit), (values ('aetna'), ('medicare')) as p (payer),
    (values (date '2026-01-31'), (date '2026-02-28'), (date '2026-03-31')) as d (snapshot_date)
  where payer = 'medicare' or month(snapshot_date) = 1;
-- Partners have the ids of providers, and of the other tenant's partners, and mean somebody else.
create table warehouse.marts.fct_referrals as
  select tenant_id, 'r' || i as referral_id, tenant_id || '|t' || (i % 10) as patient_key, 't' || (i % 10) as patient_id,
    tenant_id || '|' || unit as service_unit_key, unit as service_unit_id, 'p' || (1 + i % 3) as referral_partner_id,
    'visit of ' || tenant_id as visit_type_id, case when i % 2 = 0 then 'attended' else 'open' end as outcome,
    case when i % 2 = 0 then '4 attended' else '1 ordered' end as furthest_stage, i % 2 = 0 as is_scheduled,
    i % 2 = 0 as is_attended, date '2026-01-01' + cast(i as integer) as ordered_date,
    case when i % 2 = 0 then date '2026-01-05' + cast(i as integer) end as first_visit_date
  from (select tenant_id, i, case when i % 3 = 1 then 'west' else 'lab' end as unit
    from warehouse.marts.dim_tenants, range(60) as r (i) where tenant_id = 'harbor' or i < 30);
create table warehouse.health.feed_status as
  select tenant_id, 'pm' as feed, 'pm_database' as kind, timestamp '2026-04-01 05:00:00' as last_read_at
  from warehouse.marts.dim_tenants;
create table warehouse.health.batch as select tenant_id, 'pm' as feed, tenant_id || '-1' as batch_id, entity,
  case entity when 'claim' then 0 else 7 end as rows_landed
  from warehouse.marts.dim_tenants, (values ('encounter'), ('appointment'), ('claim')) as e (entity);
create table warehouse.health.feed_alert as select tenant_id, 'pm' as feed, 'stopped' as kind, date '2026-03-28' as since,
  date '2026-03-27' as newest_day, 'Feed pm stopped.' as message from warehouse.marts.dim_tenants where tenant_id = 'mesa';
create table warehouse.health.refused_unit as select tenant_id, 'pm' as feed, 'x' as unit from warehouse.marts.dim_tenants where false;
create table warehouse.health.plausibility (tenant_id varchar, code varchar, feed varchar, other_feed varchar, entity varchar,
  title varchar, meaning varchar, remedy varchar, touches varchar, found_rows bigint, found_amount decimal(18, 4), first_day date,
  last_day date);
create table warehouse.health.quarantine_reason as select tenant_id, 'pm' as feed, 2 as rows from warehouse.marts.dim_tenants;
"""


def build_warehouse(home: Home) -> None:
    """Writes the encrypted warehouse of a home."""
    with duck.session(home) as connection:
        key = Keys.of(home).derive_hex("warehouse")
        duck.attach(connection, home.warehouse, alias="warehouse", key=key)
        connection.execute(TABLES)


def change(home: Home, sql: str) -> None:
    """Changes the warehouse, as a later run would."""
    with duck.session(home) as connection:
        key = Keys.of(home).derive_hex("warehouse")
        duck.attach(connection, home.warehouse, alias="warehouse", key=key)
        connection.execute(sql)


# The semantic manifest, as dbt writes it


def _relation(table: str) -> dict[str, str]:
    name = f'"warehouse"."marts"."{table}"'
    return {"alias": table, "schema_name": "marts", "database": "warehouse", "relation_name": name}


def _entity(name: str, kind: str, column: str) -> dict[str, Any]:
    return {
        "name": name,
        "description": None,
        "type": kind,
        "role": None,
        "expr": column,
        "metadata": None,
        "label": None,
    }


def _category(name: str, column: str | None = None) -> dict[str, Any]:
    blank = {"description": None, "is_partition": False, "type_params": None, "metadata": None, "label": None}
    return {"name": name, "type": "categorical", "expr": column, **blank}


def _time(name: str) -> dict[str, Any]:
    params = {"time_granularity": "day", "validity_params": None}
    blank = {"description": None, "is_partition": False, "metadata": None, "label": None, "expr": None}
    return {"name": name, "type": "time", "type_params": params, **blank}


def _measure(name: str, agg: str, column: str, snapshot: str | None = None) -> dict[str, Any]:
    last = {"name": snapshot, "window_choice": "max", "window_groupings": []} if snapshot else None
    blank = {"description": None, "create_metric": False, "agg_params": None, "metadata": None, "label": None}
    return {
        "name": name,
        "agg": agg,
        "expr": column,
        "non_additive_dimension": last,
        "agg_time_dimension": None,
        **blank,
    }


def _model(
    name: str,
    table: str,
    entities: list[dict[str, Any]],
    dimensions: list[dict[str, Any]],
    measures: list[dict[str, Any]] | None = None,
    date: str | None = None,
) -> dict[str, Any]:
    return {
        "name": name,
        "defaults": {"agg_time_dimension": date} if date else None,
        "description": name,
        "node_relation": _relation(table),
        "primary_entity": None,
        "entities": entities,
        "measures": measures or [],
        "dimensions": dimensions,
        "label": None,
        "metadata": None,
        "config": {"meta": {}},
    }


_UNIT, _PROVIDER, _PAYER = (_entity(name, "foreign", f"{name}_key") for name in ("service_unit", "provider", "payer"))
_LEVELS = [_category(f"level_{level}_{part}") for level in range(1, 7) for part in ("id", "name")]

MODELS = [
    _model(
        "service_units",
        "dim_service_units",
        [_entity("service_unit", "primary", "service_unit_key")],
        [
            _category("service_unit_id"),
            _category("service_unit_name", "name"),
            _category("unit_type"),
            _category("path"),
            *_LEVELS,
        ],
    ),
    _model(
        "providers",
        "dim_providers",
        [_entity("provider", "primary", "provider_key")],
        [_category("provider_id"), _category("provider_name", "name")],
    ),
    _model(
        "payers",
        "dim_payers",
        [_entity("payer", "primary", "payer_key")],
        [_category("payer_id"), _category("payer_name", "name")],
    ),
    _model(
        "visits",
        "fct_visits",
        [_entity("visit", "primary", "visit_id"), _UNIT, _PROVIDER],
        [_time("visit_date"), _category("payer_class"), _category("hour_of_day"), _category("patient_id")],
        [
            _measure("visit_count", "sum_boolean", "is_visit"),
            _measure("visit_patients", "count_distinct", "case when is_visit then patient_id end"),
            _measure("cycle_mean", "average", "cycle_minutes"),
        ],
        "visit_date",
    ),
    _model(
        "charges",
        "fct_charges",
        [_entity("charge", "primary", "charge_id"), _UNIT, _PROVIDER, _PAYER],
        [_time("service_date"), _time("decided_date"), _category("payer_class")],
        [
            _measure("billed_sum", "sum", "billed_amount"),
            _measure("denied_count", "sum_boolean", "is_denied"),
            _measure("denied_mean", "average", "case when is_denied then 1 else 0 end"),
        ],
        "service_date",
    ),
    _model(
        "balances",
        "fct_balances",
        [_entity("balance", "primary", "balance_key"), _UNIT, _PAYER],
        [_time("snapshot_date")],
        [_measure("open_sum", "sum", "open_amount", "snapshot_date")],
        "snapshot_date",
    ),
]


MODELS.append(
    _model(
        "referrals",
        "fct_referrals",
        [_entity("referral", "primary", "referral_id"), _UNIT],
        [_time("ordered_date"), _category("referral_partner", "referral_partner_id")],
        [
            _measure("referral_count", "sum", "1"),
            _measure("referral_scheduled_count", "sum_boolean", "is_scheduled"),
            _measure("referral_attended_count", "sum_boolean", "is_attended"),
        ],
        "ordered_date",
    )
)


def _metric(name: str, kind: str, params: dict[str, Any], **meta: Any) -> dict[str, Any]:
    blank = {
        **dict.fromkeys(("measure", "numerator", "denominator", "expr", "window", "grain_to_date")),
        "metrics": [],
        "conversion_type_params": None,
        "cumulative_type_params": None,
        "input_measures": [],
    }
    return {
        "name": name,
        "description": f"What {name} means.",
        "type": kind,
        "type_params": {**blank, **params},
        "filter": None,
        "metadata": None,
        "label": name.capitalize(),
        "config": {"meta": meta},
        "time_granularity": None,
    }


def _simple(name: str, measure: str, **meta: Any) -> dict[str, Any]:
    part = {"name": measure, "filter": None, "alias": None, "join_to_timespine": False, "fill_nulls_with": None}
    return _metric(name, "simple", {"measure": part}, **meta)


def _ratio(name: str, above: str, below: str, **meta: Any) -> dict[str, Any]:
    def part(metric: str) -> dict[str, Any]:
        return {"name": metric, "filter": None, "alias": None, "offset_window": None, "offset_to_grain": None}

    return _metric(name, "ratio", {"numerator": part(above), "denominator": part(below)}, **meta)


_VISITS = {"model": "fct_visits", "row_filter": "is_visit"}
METRICS = [
    _simple("visits", "visit_count", unit="count", module="throughput", drill=_VISITS, direction="higher"),
    _simple("people", "visit_patients", unit="count", module="throughput", drill={**_VISITS, "distinct": "patient_id"}),
    _simple(
        "cycle_minutes",
        "cycle_mean",
        unit="minutes",
        module="throughput",
        drill={
            "model": "fct_visits",
            "row_filter": "cycle_minutes is not null",
            "value": "cycle_minutes",
            "aggregate": "average",
        },
    ),
    _simple(
        "billed_amount",
        "billed_sum",
        unit="usd",
        module="revenue_cycle",
        drill={"model": "fct_charges", "value": "billed_amount"},
    ),
    _simple(
        "denied_charges",
        "denied_count",
        unit="count",
        module="revenue_cycle",
        known_on="decided_date",
        drill={"model": "fct_charges", "row_filter": "is_denied"},
    ),
    _simple(
        "denied_share",
        "denied_mean",
        unit="percent",
        module="revenue_cycle",
        drill={"model": "fct_charges", "value": "case when is_denied then 1 else 0 end", "aggregate": "average"},
    ),
    _ratio("billed_per_visit", "billed_amount", "visits", unit="usd", module="revenue_cycle"),
    _ratio(
        "denied_per_person",
        "denied_charges",
        "people",
        unit="ratio",
        module="revenue_cycle",
        variant_of="billed_per_visit",
        drill={"model": "fct_charges", "row_filter": "is_denied"},
    ),
    _simple(
        "open_balance",
        "open_sum",
        unit="usd",
        module="revenue_cycle",
        drill={"model": "fct_balances", "value": "open_amount"},
    ),
    _simple(
        "payer_mix_billed",
        "billed_sum",
        unit="percent",
        module="payer_mix",
        share_of="billed_amount",
        share_over=["payer", "payer_class"],
        drill={"model": "fct_charges", "value": "billed_amount"},
    ),
]
METRICS += [
    _simple(name, measure, unit="count", module="no_show", drill={"model": "fct_referrals", "row_filter": row_filter})
    for name, measure, row_filter in (
        ("referrals", "referral_count", "true"),
        ("referrals_scheduled", "referral_scheduled_count", "is_scheduled"),
        ("referrals_attended", "referral_attended_count", "is_attended"),
    )
]
SPINE = {
    "node_relation": _relation("dim_dates"),
    "primary_column": {"name": "date_day", "time_granularity": "day"},
    "custom_granularities": [],
}
_MODULES = {"fct_visits": "throughput", "fct_charges": "revenue_cycle", "fct_balances": "revenue_cycle"}
_MODULES["fct_referrals"] = "no_show"
_MARKED = {"patient_id": "patient", "patient_key": "patient", "visit_id": "account", "charge_id": "account"}
_MARKED["referral_id"] = "account"
_MARKED |= {"visit_date": "none", "decided_date": "none"}


def _node(schema: str, table: str, module: str) -> dict[str, Any]:
    meta: dict[str, Any] = {"publish": True, **({"shared": True} if table == "dim_dates" else {})}
    columns = {
        name: {"description": f"The {name}.", "config": {"meta": {"identity": identity}}}
        for name, identity in _MARKED.items()
    }
    return {
        "resource_type": "model",
        "name": table,
        "alias": table,
        "schema": schema,
        "fqn": ["clinicmart", schema, module, table] if schema == "marts" else ["clinicmart", schema, table],
        "description": f"One row per thing of {table}.",
        "config": {"meta": meta},
        "columns": columns if table.startswith("fct_") else {},
    }


def write_manifests(target: Path) -> Path:
    """Writes manifest.json and semantic_manifest.json into a folder, as dbt does; returns it."""
    target.mkdir(parents=True, exist_ok=True)
    dims = ("dim_tenants", "dim_dates", "dim_service_units", "dim_providers", "dim_payers", "dim_patients")
    nodes = [_node("marts", table, "core") for table in dims]
    nodes += [_node("marts", table, module) for table, module in _MODULES.items()]
    nodes += [_node("health", name, "health") for name in HEALTH]
    manifest = {"nodes": {f"model.clinicmart.{node['name']}": node for node in nodes}}
    configuration = {
        "time_spine_table_configurations": [],
        "metadata": None,
        "dsi_package_version": {"major_version": "0", "minor_version": "9", "patch_version": "0"},
        "time_spines": [SPINE],
    }
    semantic = {
        "semantic_models": MODELS,
        "metrics": METRICS,
        "project_configuration": configuration,
        "saved_queries": [],
    }
    (target / "manifest.json").write_text(json.dumps(manifest))
    (target / "semantic_manifest.json").write_text(json.dumps(semantic))
    return target
