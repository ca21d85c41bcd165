"""Landed files of one home, written into another under the keys of that home.

They are read and written as they are, without their source: no feed is read again. Each home keeps keys that open its own files alone.
"""

from collections.abc import Sequence
from pathlib import Path

from foundation import duck, formats
from foundation.errors import ClinicmartError
from foundation.home import Home
from foundation.keys import Keys
from ingest.replay.ledger_as_of import LandedBatch

_SOURCE = "source"
_NAMED = 3


def check_there(home: Home, batches: Sequence[LandedBatch], as_of: str) -> None:
    """Raises ClinicmartError where files that the ledger names are not there: removed, or lost."""
    missing = [batch for batch in batches if not (home.path / batch.file).is_file()]
    if missing:
        feeds = sorted({f"{batch.tenant_id}/{batch.feed}" for batch in missing})
        raise ClinicmartError(
            f"{home.path}: {len(missing)} landed files of {', '.join(feeds[:_NAMED])}{' and others' if len(feeds) > _NAMED else ''} are no "
            f"longer there, such as {missing[0].file}, so the marts as of {as_of} cannot be built; restore them from a backup"
        )


def take_files(source: Home, target: Home, batches: Sequence[LandedBatch]) -> int:
    """Writes the files of some batches into `target` under its keys, at the same paths; returns the number of rows.

    Raises ClinicmartError where a file does not hold what the ledger says.
    """
    rows = 0
    earlier, keys = Keys.of(source), Keys.of(target)
    for tenant_id in sorted({batch.tenant_id for batch in batches}):
        with duck.session(target) as connection:
            # Each time, because the tenant's keys may be rotated meanwhile.
            name_of = duck.add_parquet_keys(connection, earlier.derive_all("landing", tenant_id), name=_SOURCE)
            duck.add_parquet_key(connection, keys.derive("landing", tenant_id))
            for batch in (item for item in batches if item.tenant_id == tenant_id):
                path, new = source.path / batch.file, _place(target, batch.file)
                written = connection.execute(
                    f"copy (select * from {duck.parquet_of(path, name_of(path))}) to {duck.quoted(str(new))} "
                    f"({duck.parquet_options(formats.LANDED)})"
                ).fetchone()
                if written is None or written[0] != batch.rows:
                    raise ClinicmartError(f"{path}: it does not hold the {batch.rows:,} rows that the ledger names")
                new.chmod(0o600)
                rows += batch.rows
    return rows


def _place(home: Home, file: str) -> Path:
    path = home.path / file
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    return path
