"""One asset per tenant and feed: what is new in the feed, landed. Its checks say whether the feed could be read whole and
whether contracts held; neither stops the other feeds."""

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
from ingest.pipeline import FeedReport, land_feed

READABLE = "feed_is_readable"
CONTRACTS = "rows_keep_their_contracts"


def landing_key(feed: Feed) -> AssetKey:
    """Asset key of a feed: tenant, `landing`, feed."""
    return AssetKey([_part(feed.tenant_id), "landing", feed.name])


def _part(tenant_id: str) -> str:
    # Asset keys know no hyphen; tenant ids know no underscore, so nothing collides.
    return tenant_id.replace("-", "_")


def landing_asset(workspace: Workspace, feed: Feed) -> AssetsDefinition:
    """The asset that lands one feed."""
    key = landing_key(feed)

    @asset(
        key=key,
        group_name=_part(feed.tenant_id),
        description=f"What is new in feed {feed.name} of {feed.tenant_id}, checked against its contracts and landed.",
        kinds={feed.kind.replace("_", ""), "polars"},
        check_specs=[
            AssetCheckSpec(READABLE, asset=key, description="Every file or table of the feed could be read."),
            AssetCheckSpec(CONTRACTS, asset=key, description="Every row read in this run keeps its contract."),
        ],
    )
    def landed(context: AssetExecutionContext) -> MaterializeResult:
        with workspace.step() as ledger:
            ledger.ensure_run(context.run.run_id, str(workspace.config.file))
            report = land_feed(
                workspace.home,
                workspace.keys,
                ledger,
                feed,
                context.run.run_id,
                full_refresh=workspace.full_refresh,
                accept_deletions=workspace.accept_deletions,
            )
        return _result(report)

    return landed


def _result(report: FeedReport) -> MaterializeResult:
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
        ],
    )
