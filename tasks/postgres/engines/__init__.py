"""The programs that may keep a database's backups and its WAL, behind one interface."""

from recovery.databases import Database
from tasks.postgres.engines.barman import Barman
from tasks.postgres.engines.interface import Engine
from tasks.postgres.engines.native import Native

__all__ = ["Engine", "engine_of"]


def engine_of(database: Database) -> Engine:
    """The engine that the catalogue names."""
    return Barman(database, database.barman) if database.barman else Native(database)
