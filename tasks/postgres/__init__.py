"""Prove a way back to before a deployment and go it, with PostgreSQL's own programs."""

from tasks.postgres.backup import read_backup, take_backup
from tasks.postgres.chains import keep_chain, read_chain
from tasks.postgres.journals import arm_journal, drop_journals
from tasks.postgres.parachute import arm_parachute, check_parachute, pack_parachute
from tasks.postgres.points import make_point, wait_until_archived
from tasks.postgres.proving import prove_way_back
from tasks.postgres.reading import read_point, read_server
from tasks.postgres.sets import expire_sets, read_names, read_room, read_set, read_spare
from tasks.postgres.settings_kept import keep_settings
from tasks.postgres.sides import drop_side, open_archive, promote_side, raise_side, read_side, read_side_state

__all__ = [
    "arm_journal",
    "arm_parachute",
    "check_parachute",
    "drop_journals",
    "drop_side",
    "expire_sets",
    "keep_chain",
    "keep_settings",
    "make_point",
    "open_archive",
    "pack_parachute",
    "promote_side",
    "prove_way_back",
    "raise_side",
    "read_backup",
    "read_chain",
    "read_names",
    "read_point",
    "read_room",
    "read_server",
    "read_set",
    "read_side",
    "read_side_state",
    "read_spare",
    "take_backup",
    "wait_until_archived",
]
