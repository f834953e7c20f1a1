"""Prove a way back to before a deployment, with PostgreSQL's own programs."""

from tasks.postgres.backup import read_backup, take_backup
from tasks.postgres.chains import keep_chain, read_chain
from tasks.postgres.points import make_point, wait_until_archived
from tasks.postgres.proving import prove_way_back
from tasks.postgres.reading import read_point, read_server
from tasks.postgres.sets import expire_sets, read_room, read_set

__all__ = [
    "expire_sets",
    "keep_chain",
    "make_point",
    "prove_way_back",
    "read_backup",
    "read_chain",
    "read_point",
    "read_room",
    "read_server",
    "read_set",
    "take_backup",
    "wait_until_archived",
]
