"""Runs migrations on the connection that `biometrics.store.upgrade` hands over."""

from alembic import context

from biometrics.store.schema import METADATA

# One transaction for all: SQLite undoes table definitions too, once BEGIN is ours.
context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
