"""Alembic's entry: runs the steps on the connection that `serving.people.migrate` gives."""

from alembic import context

from serving.people.tables import METADATA

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    transactional_ddl=True,
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
