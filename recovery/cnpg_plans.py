"""Whether a Cluster may be taken back to its point, what that loses, and what is done in which order.

Pure: what the API server and PostgreSQL said arrives as an argument.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from recovery.catalog import Service
from recovery.cnpg import Clustered, CnpgPoint, Role, cluster_of
from recovery.cnpg_gates import cnpg_of, namespace_of
from recovery.cnpg_leading import CLUSTER_LABEL
from recovery.cnpg_settings import left_services, secret_of
from recovery.errors import Refused
from recovery.rds_plans import losses_of
from recovery.restore_points import show_age
from recovery.restores import Loss


@dataclass(frozen=True, slots=True)
class Led:
    """By what clients are led, and whether that leads to the restored Cluster already."""

    way: str
    restored: bool


@dataclass(frozen=True, slots=True)
class Pair:
    """The damaged Cluster and the restored one; None: it is not there."""

    damaged: Clustered | None
    restored: Clustered | None


@dataclass(frozen=True, slots=True)
class CnpgPlan:
    """What is done to take one Cluster back, before anything is touched."""

    service: str
    version: str
    cause: str
    point: CnpgPoint
    namespace: str
    damaged: str
    restored: str
    standing: str
    server_name: str
    age: str
    at: datetime  # of this plan
    losses: tuple[Loss, ...]
    notes: tuple[str, ...]
    steps: tuple[str, ...]
    secret: str | None  # of the application's role, which belongs to the damaged Cluster
    ask: bool
    served: bool  # clients are led to the restored Cluster: from then on there is only forward

    @property
    def name(self) -> str:
        """The point's name."""
        return self.point.name

    @property
    def reason(self) -> str:
        """The plan in a sentence."""
        if self.served:
            return f"skipped: the clients of {self.service} are led to {self.restored} already"
        return f"{self.service} goes back to {self.name}, made {self.age} ago, in {self.restored}: {self.cause}"


def restored_name(point: CnpgPoint) -> str:
    """The name of the Cluster that a point is restored into."""
    return cluster_of(point.service, point.version, point.attempt, Role.RESTORED)


def plan_cnpg(
    service: Service,
    cause: str,
    point: CnpgPoint,
    pair: Pair,
    led: Led,
    counts: Mapping[str, int | None],
    now: datetime,
) -> CnpgPlan:
    """Decide how the database goes back. Raises Refused naming everything that stands against it."""
    cnpg, restored = cnpg_of(service), restored_name(point)
    wrong = _against(service, point, pair, led)
    if wrong:
        raise Refused("; ".join(wrong))
    damaged = pair.damaged
    return CnpgPlan(
        service=service.name,
        version=point.version,
        cause=cause,
        point=point,
        namespace=namespace_of(service),
        damaged=point.cluster,
        restored=restored,
        standing=_standing(damaged),
        # With the time in it: one that was removed by hand has left its WAL, and the operator wants an empty archive.
        server_name=f"{restored}-{now:%Y%m%dt%H%M%S}",
        age=show_age(now - point.at),
        at=now,
        losses=losses_of(point.then.after, counts, cnpg.uncounted),
        notes=_notes(pair, counts),
        steps=_steps(point, restored, led, found=pair.restored is not None),
        secret=secret_of(point.cluster, damaged.spec) if damaged else None,
        ask=cnpg.approval == "person" and pair.restored is None,
        served=led.restored,
    )


def _against(service: Service, point: CnpgPoint, pair: Pair, led: Led) -> list[str]:
    cnpg, restored, damaged = cnpg_of(service), restored_name(point), pair.damaged
    if cnpg.cluster not in (point.cluster, restored):
        return [f"{point.name} is of {point.cluster} and the catalogue names {cnpg.cluster}: name that one again"]
    if pair.restored is not None and pair.restored.restored_to != point.name:
        return [f"{restored} is there and was not restored to {point.name} by us: rename or remove it by hand"]
    if led.restored:
        there = pair.restored is not None
        return [] if there else [f"{led.way} leads to {restored}, and that is not there: lead it back by hand"]
    if damaged is None:
        backup = f"backup {point.backup_id} up to {point.name}"
        return [f"{point.cluster} is not there, nothing says how it was set: restore {backup} into a new one by hand"]
    if damaged.uid != point.uid:
        return [f"{point.cluster} is another Cluster than that of {point.name}: restore by hand"]
    if damaged.fenced and pair.restored is None:
        return [f"{damaged.name} is fenced and not by us: find out why, and lift the fence"]
    return []


def _standing(damaged: Clustered | None) -> str:
    if damaged is None:
        return "it is not to be seen"
    fenced = ", and is fenced" if damaged.fenced else ""
    return f"{damaged.name} says {damaged.phase!r}, {damaged.ready} of {damaged.instances} instances ready{fenced}"


def _notes(pair: Pair, counts: Mapping[str, int | None]) -> tuple[str, ...]:
    notes = ["a restore to it was begun before, and is gone on with"] if pair.restored else []
    spec = pair.damaged.spec if pair.damaged else {}
    for name in left_services(spec):
        notes.append(f"the Service {name} is the damaged Cluster's own: its clients are led by a person")
    if not (spec.get("certificates") or {}).get("serverCASecret"):
        notes.append("the restored Cluster has a certificate authority of its own: clients that verify it must know it")
    if (spec.get("certificates") or {}).get("serverTLSSecret"):
        notes.append("the server's certificate is the team's own: it must hold the restored Cluster's names, too")
    if labels := (spec.get("inheritedMetadata") or {}).get("labels"):
        notes.append(
            f"its pods have the labels {', '.join(sorted(labels))}, too: a Service of yours that selects by these "
            f"alone reaches both, select by {CLUSTER_LABEL} as well"
        )
    if not counts:
        notes.append("what is lost is unknown: the damaged database is closed, or does not let itself be counted")
    return tuple(notes)


def _steps(point: CnpgPoint, restored: str, led: Led, *, found: bool) -> tuple[str, ...]:
    verb = "find" if found else "make"
    return (
        f"{verb} the Cluster {restored}, recovered to {point.name}, with every setting of {point.cluster}",
        "compare its settings and its rows with what was; ask the smoke queries",
        f"fence every instance of {point.cluster}, and see that none answers",
        f"lead the clients to {restored} by {led.way}, and restart them",
        f"see {restored} archive and begin its first backup; keep {point.cluster}, fenced",
    )
