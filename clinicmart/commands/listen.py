"""`clinicmart listen`: takes HL7 v2 messages over MLLP into the inbox."""

from pathlib import Path

import click

from clinicmart.options import home_option, log_format_option


@click.command()
@click.option("--config", "file", required=True, type=click.Path(path_type=Path), help="The configuration file.")
@home_option
@click.option("--tenant", help="Only this tenant.")
@click.option("--feed", "feed_name", help="Only this feed.")
@log_format_option
def listen(file: Path, home: Path, tenant: str | None, feed_name: str | None, log_format: str) -> int:
    """Receive HL7 v2 messages over MLLP for all feeds with `listen`. Stop with SIGTERM or Ctrl+C.

    Each message is stored encrypted and then acknowledged (AA or CA). `clinicmart run` reads the stored messages, even while the
    listener runs. Every few seconds the page Today is brought up to date.
    Exit code 2: the configuration is wrong, a port is in use, or a feed has a listener already.
    """
    import asyncio
    import logging

    from data_contracts import load_contracts
    from foundation.config import Feed, load_config
    from foundation.errors import ConfigurationError
    from foundation.home import Home
    from foundation.keys import Keys
    from foundation.logs import log_as_json
    from foundation.replays import refuse_feeds
    from ingest.inbox.inbox import Inbox
    from ingest.inbox.mllp_journal import UNIT
    from ingest.ledger import Ledger
    from ingest.live.follower import Follower
    from ingest.receive.mllp import listener

    config = load_config(file, entities=frozenset(load_contracts())).only(tenant)
    chosen = [feed for item in config.tenants for feed in item.feeds if feed.listen and feed_name in (None, feed.name)]
    if not chosen:
        raise ConfigurationError(f"{file}: no feed has `listen`; add `listen` with a port to an hl7v2 feed")
    if log_format == "json":
        log_as_json(logging.INFO)
    else:
        logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    opened = Home.at(home)
    refuse_feeds(opened)
    keys, ledger = Keys.of(opened), Ledger(opened)

    def landed_up_to(feed: Feed) -> str | None:
        return ledger.table_state(feed.tenant_id, feed.name, UNIT).cursor

    inboxes = [(feed, Inbox.of(opened, keys, feed)) for feed in chosen]
    followers = [
        Follower(opened, keys, item.tenant_id, [pair for pair in inboxes if pair[0].tenant_id == item.tenant_id]).step
        for item in config.tenants
        if any(feed.tenant_id == item.tenant_id for feed in chosen)
    ]
    asyncio.run(listener.listen(inboxes, landed_up_to, followers=followers))
    return 0
