"""Run by Alembic: steps run on the connection that Keepwell opened."""

from alembic import context

from keepwell.storage.schema import metadata

context.configure(
    connection=context.config.attributes["connection"], target_metadata=metadata, transactional_ddl=True, render_as_batch=True
)
context.run_migrations()
