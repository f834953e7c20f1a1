"""Read and act on databases that CloudNativePG runs, by the objects of its API alone."""

from tasks.kubernetes.cnpg.backups import begin_first_backup, read_backups, take_named_backup
from tasks.kubernetes.cnpg.clusters import drop_copy, raise_copy, restore_cluster, settle_cluster
from tasks.kubernetes.cnpg.fencing import fence_again, fence_cluster, lift_fence, lifting_again, wait_until_archiving
from tasks.kubernetes.cnpg.leading import lead_clients, read_led
from tasks.kubernetes.cnpg.reading import read_cluster, read_pair

__all__ = [
    "begin_first_backup",
    "drop_copy",
    "fence_again",
    "fence_cluster",
    "lead_clients",
    "lift_fence",
    "lifting_again",
    "raise_copy",
    "read_backups",
    "read_cluster",
    "read_led",
    "read_pair",
    "restore_cluster",
    "settle_cluster",
    "take_named_backup",
    "wait_until_archiving",
]
