"""Names of files are encrypted: in some systems they hold patients' names."""

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Seals every name with the functions that the ledger registers (`ingest.sealed_names`)."""
    op.execute("update unit set name = seal_name(name)")
