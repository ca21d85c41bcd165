"""Landing tenants side by side against one after another, in the same run.

    python benchmarks/side_by_side.py [--tenants N] [--appointments N] [--helpers N]

Seconds and rows of each, over the same feeds into separate homes, and the ratio.
"""

import argparse
import tempfile
import time
from contextlib import closing
from pathlib import Path
from uuid import uuid4

from clinicmart.sample import write_sample
from foundation.config import Config, load_config
from foundation.home import Home
from foundation.keys import Keys
from foundation.run_lock import step
from ingest.landing.land_feed import land_feed
from ingest.landing.side_by_side import SideBySide
from ingest.ledger import Ledger


def land(home: Home, config: Config, helpers: int) -> tuple[float, int]:
    """Lands every feed; seconds, helpers' start among them, and rows landed."""
    started, rows = time.perf_counter(), 0
    with closing(Ledger(home)) as ledger, closing(SideBySide(helpers)) as ahead:
        run_id = str(uuid4())
        ahead.begin(home, config.tenants, run_id, full_refresh=False, accept_deletions=False)
        for tenant in config.tenants:
            for feed in tenant.feeds:
                report = ahead.report(feed)
                if report is None:
                    with step(home, tenant.tenant_id):
                        report = land_feed(home, Keys.of(home), ledger, feed, run_id)
                rows += report.rows_landed
    return time.perf_counter() - started, rows


def main() -> None:
    """Lands a sample of the size asked for, both ways."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tenants", type=int, default=6)
    parser.add_argument("--appointments", type=int, default=30_000)
    parser.add_argument("--helpers", type=int, default=1)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        config = load_config(
            write_sample(place / "feeds", tenants=asked.tenants, appointments=asked.appointments).config
        )
        land(Home.at(place / "warm"), config.only(config.tenants[-1].tenant_id), 0)
        alone, rows = land(Home.at(place / "alone"), config, 0)
        beside, same = land(Home.at(place / "beside"), config, asked.helpers)
        assert rows == same
        print(f"{asked.tenants} tenants, {rows:,} rows, one after another: {alone:.1f} s")
        print(f"with {asked.helpers} helpers: {beside:.1f} s, {beside / alone:.2f} of it")
        again, _ = land(Home.at(place / "alone"), config, 0)
        again_beside, _ = land(Home.at(place / "beside"), config, asked.helpers)
        print(f"nothing new, one after another: {again:.1f} s")
        print(f"with {asked.helpers} helpers: {again_beside:.1f} s, {again_beside / again:.2f} of it")


if __name__ == "__main__":
    main()
