"""The history of the record's shape: one Alembic line of steps, each in the caller's transaction."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa


def upgrade(connection: sa.Connection, revision: str) -> None:
    """Bring the record on `connection` up to `revision`; on an error the transaction leaves it as it was."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.attributes["connection"] = connection
    command.upgrade(config, revision)
