"""Before a deployment: prove a way back for a database on CloudNativePG, or refuse the deployment.

1. Read the Cluster, the register of points, the points that are kept and the Backups.  2. Choose the point, that one
or a new one, or refuse.  3. Have a Backup taken; make the named restore point and the commit after it; wait until its
WAL is archived.  4. Have a copy recovered to the point, compare it, ask it, remove it.  5. Say yes or no on the tag's
commit.
"""

from prefect import flow

from flows.answering import say_yes_or_no
from recovery.catalog import Service
from recovery.cnpg import Role, cluster_of
from recovery.cnpg_gates import choose_named, cnpg_of, judge_cluster, say_proved
from recovery.cnpg_wording import show_cnpg_gate
from recovery.restore_points import WayBack
from recovery.versions import parse_version
from tasks.artifacts import show
from tasks.clock import read_clock
from tasks.fence import one_at_a_time
from tasks.kubernetes.cnpg import drop_copy, raise_copy, read_backups, read_cluster, take_named_backup
from tasks.postgres.named_points import (
    keep_proof,
    name_point,
    prove_recovered,
    read_named,
    read_proof,
    read_register,
    say_named,
)
from tasks.settings import read_service


@flow(name="prepare_cnpg", flow_run_name="prepare {service} {version}", persist_result=True)
def prepare_cnpg(service: str, version: str, rehearse: bool = True) -> WayBack:
    """Prove a way back to before one release on CloudNativePG, or refuse and say why.

    Args:
        service: Service, as the catalogue names it.
        version: The tag of the release that is about to be deployed, such as v1.2.0.
        rehearse: Stop after deciding and show the plan.
    """
    entry = read_service(service)
    tag = parse_version(version, entry.tag_prefix).tag
    with one_at_a_time(f"{service}, way back"):
        if rehearse:
            return prove(entry, tag, rehearse=True)
        return say_yes_or_no(entry, tag, cnpg_of(entry), lambda ahead: prove(entry, tag, rehearse=False))


def prove(entry: Service, version: str, *, rehearse: bool) -> WayBack:
    """The first four paragraphs: observe, decide, act, verify."""
    seen = read_cluster(entry)
    said = judge_cluster(entry, seen)
    register, kept, backups = read_register(entry, version), read_named(entry), read_backups(entry)

    choice = choose_named(entry, version, register, kept, backups, seen)
    proof = cluster_of(entry.name, version, choice.point.attempt, Role.PROOF)
    plan = show_cnpg_gate(entry.name, version, choice, proof, said)
    show(f"plan-gate-{entry.name}-{version}", plan, choice.reason)
    if rehearse or seen is None:
        return WayBack(False, f"rehearsed, nothing was changed: {choice.reason}; {said}", choice.point.name)

    backup = take_named_backup(entry, seen, choice)
    point = name_point(entry, version, choice, seen, backup)
    say_named(point)
    if (before := read_proof(point)) is not None:
        return before

    begun = read_clock()
    copy = raise_copy(entry, seen, point, Role.PROOF)
    compared = prove_recovered(entry, point, copy.name)
    drop_copy(entry, point, Role.PROOF)
    return keep_proof(point, say_proved(point, copy.name, compared, (read_clock() - begun).total_seconds()))
