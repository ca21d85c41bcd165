"""One asset per tenant and feed: what is new in the feed, landed. Its checks say whether the feed could be read whole, whether
contracts held and whether it still brings what it should; none stops the other feeds."""

import polars as pl
from dagster import (
    AssetCheckResult,
    AssetCheckSeverity,
    AssetCheckSpec,
    AssetExecutionContext,
    AssetKey,
    AssetsDefinition,
    MaterializeResult,
    asset,
)

from dagster_project.workspace import Workspace
from foundation.config import Feed
from foundation.faults import check_free_space
from foundation.logs import about
from ingest.accounts.feed_coverage import UNREADABLE, Coverage, coverage
from ingest.landing.land_feed import FeedReport, land_feed

READABLE = "feed_is_readable"
CONTRACTS = "rows_keep_their_contracts"
COVERAGE = "feed_brings_what_it_should"


def landing_key(feed: Feed) -> AssetKey:
    """Asset key of a feed: tenant, `landing`, feed."""
    return AssetKey([part_of_key(feed.tenant_id), "landing", feed.name])


def part_of_key(tenant_id: str) -> str:
    """A tenant in the keys of assets and the names of steps."""
    # Asset keys know no hyphen; tenant ids know no underscore, so nothing collides.
    return tenant_id.replace("-", "_")


def landing_asset(workspace: Workspace, feed: Feed) -> AssetsDefinition:
    """The asset that lands one feed."""
    key = landing_key(feed)

    @asset(
        key=key,
        group_name=part_of_key(feed.tenant_id),
        description=f"What is new in feed {feed.name} of {feed.tenant_id}, checked against its contracts and landed.",
        kinds={feed.kind.replace("_", ""), "polars"},
        check_specs=[
            AssetCheckSpec(READABLE, asset=key, description="Every file or table of the feed could be read."),
            AssetCheckSpec(CONTRACTS, asset=key, description="Every row read in this run keeps its contract."),
            AssetCheckSpec(
                COVERAGE,
                asset=key,
                description="By its own history the feed has not stopped and brings no less than usual.",
            ),
        ],
    )
    def landed(context: AssetExecutionContext) -> MaterializeResult:  # type: ignore[type-arg]
        does = f"Reads feed {feed.name} of {feed.tenant_id} and lands what is new in it"
        run_id = workspace.run_id_of(context)
        told_of = workspace.lineage.job(run_id, f"{feed.tenant_id}/land/{feed.name}", about=does)
        _ = workspace.states_before
        # Before the tenant is locked: a process that lands it now must finish first.
        report = None if workspace.ahead is None else workspace.ahead.report(feed)
        with (
            about(tenant_id=feed.tenant_id, feed=feed.name),
            workspace.step(feed.tenant_id) as ledger,
            told_of as lines,
        ):
            check_free_space(workspace.home)
            ledger.ensure_run(run_id, str(workspace.config.file))
            report = report or land_feed(
                workspace.home,
                workspace.keys,
                ledger,
                feed,
                run_id,
                full_refresh=workspace.full_refresh,
                accept_deletions=workspace.accept_deletions,
            )
            if workspace.lineage.is_on:
                from dagster_project.lineage_datasets import tell_landing

                tell_landing(workspace.lineage, lines, workspace.home, ledger, run_id, report)
            workspace.note_landed(feed)
            covered = coverage(ledger, tenant_id=feed.tenant_id, feed=feed.name)
        return _result(report, covered)

    return landed


def _coverage_check(covered: Coverage) -> AssetCheckResult:
    """Passes unless the feed stopped or brings much too little; another check covers a feed that could not be read."""
    alerts = covered.alerts.filter(pl.col("kind") != UNREADABLE)
    latest = covered.days.tail(1).to_dicts()
    day = {name: latest[0][name] for name in ("received", "expected")} if latest else {}
    return AssetCheckResult(
        check_name=COVERAGE,
        passed=alerts.is_empty(),
        severity=AssetCheckSeverity.WARN,
        metadata={
            "rhythm": covered.rhythms["rhythm"].to_list()[0] if covered.rhythms.height else "unknown",
            "alert": "\n".join(alerts["message"]),
            "last_judged_day": str(latest[0]["day"]) if latest else "",
            **{f"{name}_on_it": value for name, value in day.items() if value is not None},
        },
    )


def _result(report: FeedReport, covered: Coverage) -> MaterializeResult:  # type: ignore[type-arg]
    numbers = {
        name: getattr(report, name)
        for name in (
            "outcome",
            "units_landed",
            "units_unchanged",
            "units_refused",
            "records_read",
            "records_refused",
            "rows_landed",
            "rows_quarantined",
        )
    }
    return MaterializeResult(
        metadata=numbers,
        check_results=[
            AssetCheckResult(
                check_name=READABLE,
                passed=report.is_whole,
                severity=AssetCheckSeverity.ERROR,
                metadata={"problems": "\n".join(report.problems)},
            ),
            AssetCheckResult(
                check_name=CONTRACTS,
                passed=report.rows_quarantined == 0,
                severity=AssetCheckSeverity.WARN,
                metadata={"rows_quarantined": report.rows_quarantined},
            ),
            _coverage_check(covered),
        ],
    )
