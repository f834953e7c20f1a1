"""Find what was written after the point of a restore, and take back of it what a person picks."""

from tasks.postgres.salvage.applying import apply_salvage, read_applied, read_back
from tasks.postgres.salvage.exports import is_exported, read_export, write_export, write_export_of_copy
from tasks.postgres.salvage.opening import close_again, close_to_writes, open_damaged, parted_on_cnpg, parted_on_rds
from tasks.postgres.salvage.servers import find_point, read_servers

__all__ = [
    "apply_salvage",
    "close_again",
    "close_to_writes",
    "find_point",
    "is_exported",
    "open_damaged",
    "parted_on_cnpg",
    "parted_on_rds",
    "read_applied",
    "read_back",
    "read_export",
    "read_servers",
    "write_export",
    "write_export_of_copy",
]
