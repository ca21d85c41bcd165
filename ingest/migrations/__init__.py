"""Steps from each form of the ingest databases to the next (Alembic): a folder a database, a file a step."""

from pathlib import Path

STEPS = Path(__file__).parent
