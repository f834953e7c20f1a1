"""Which settings of a damaged Cluster a restored one gets, and which it must not have.

Pure: specs in, specs out. What is not named here, such as a field of a newer operator, is carried over.
"""

from collections.abc import Mapping
from typing import Any

from recovery.cnpg import ORIGIN, CnpgPoint, Spec
from recovery.errors import Refused

Json = dict[str, Any]

# Every field of the spec: carried over as it stands, or with the reason why it is not. A test holds it against the CRD.
CARRIED = frozenset(
    {
        "affinity", "certificates", "description", "enablePDB", "enableSuperuserAccess", "env", "envFrom",
        "ephemeralVolumeSource", "ephemeralVolumesSizeLimit", "failoverDelay", "imageCatalogRef", "imageName",
        "imagePullPolicy", "imagePullSecrets", "inheritedMetadata", "instances", "livenessProbeTimeout", "logLevel",
        "maxSyncReplicas", "minSyncReplicas", "monitoring", "nodeMaintenanceWindow", "postgresGID", "postgresUID",
        "postgresql", "primaryUpdateMethod", "primaryUpdateStrategy", "priorityClassName", "probes",
        "projectedVolumeTemplate", "replicationSlots", "resources", "schedulerName", "seccompProfile",
        "serviceAccountTemplate", "smartShutdownTimeout", "startDelay", "stopDelay", "storage", "superuserSecret",
        "switchoverDelay", "tablespaces", "topologySpreadConstraints", "walStorage",
    }
)  # fmt: skip
CHANGED = {
    "bootstrap": "it is recovery, of the backup before the point and up to the point",
    "backup": "the restored one archives under a server name of its own: the operator insists on an empty archive",
    "plugins": "the same, where a plugin archives",
    "externalClusters": "the damaged one's backups are added to it",
    "managed": "its additional Services have names that the damaged one's have; roles are carried over",
    "replica": "a replica of another Cluster is refused",
}
# What a copy of one instance that nobody is led to, by no label either, and that archives nothing must not have.
_NOT_OF_A_PROOF = (
    "backup", "plugins", "managed", "monitoring", "inheritedMetadata", "minSyncReplicas", "maxSyncReplicas",
)  # fmt: skip


def archiver_of(spec: Spec) -> Mapping[str, Any] | None:
    """The plugin that archives the WAL of a Cluster; None where the operator itself does, or nobody."""
    plugins = spec.get("plugins") or ()
    return next((each for each in plugins if each.get("isWALArchiver") and each.get("enabled", True)), None)


def origin_of(cluster: str, spec: Spec) -> Json:
    """The entry of externalClusters by which another Cluster finds the backups of this one.

    Raises Refused where there is no archive of WAL.
    """
    if plugin := archiver_of(spec):
        parameters = {"serverName": cluster, **(plugin.get("parameters") or {})}
        return {"name": ORIGIN, "plugin": {"name": plugin["name"], "parameters": parameters}}
    store = (spec.get("backup") or {}).get("barmanObjectStore")
    if not store:
        raise Refused(
            f"{cluster} archives no WAL: configure the Barman Cloud plugin as its WAL archiver, or "
            "`backup.barmanObjectStore`; volume snapshots alone know no point"
        )
    return {"name": ORIGIN, "barmanObjectStore": {**store, "serverName": store.get("serverName") or cluster}}


def backup_request(cluster: str, spec: Spec) -> Json:
    """The spec of a Backup that lies where the WAL goes; from which instance it is taken is the Cluster's setting."""
    asked: Json = {"cluster": {"name": cluster}}
    if plugin := archiver_of(spec):
        return asked | {"method": "plugin", "pluginConfiguration": {"name": plugin["name"]}}
    return asked | {"method": "barmanObjectStore"}


def restoring(spec: Spec, point: CnpgPoint, server_name: str) -> Json:
    """The spec of the Cluster that takes the damaged one's place."""
    wanted = _carried(spec, point)
    if backup := wanted.get("backup"):
        wanted["backup"] = dict(backup)
        if store := backup.get("barmanObjectStore"):
            wanted["backup"]["barmanObjectStore"] = {**store, "serverName": server_name}
    archiver = archiver_of(spec)
    if archiver:
        renamed = {**archiver, "parameters": {**(archiver.get("parameters") or {}), "serverName": server_name}}
        wanted["plugins"] = [renamed if each == archiver else each for each in spec["plugins"]]
    if services := left_services(spec):
        kept = {key: value for key, value in spec["managed"]["services"].items() if key != "additional"}
        wanted["managed"] = {**spec["managed"], "services": kept}
        if not services or not kept:
            wanted["managed"].pop("services")
    return wanted


def proving(spec: Spec, point: CnpgPoint) -> Json:
    """The spec of a copy of one instance that archives nothing and is thrown away."""
    wanted = {key: value for key, value in _carried(spec, point).items() if key not in _NOT_OF_A_PROOF}
    wanted["instances"] = 1
    if "synchronous" in (spec.get("postgresql") or {}):
        wanted["postgresql"] = {key: value for key, value in spec["postgresql"].items() if key != "synchronous"}
    return wanted


def left_services(spec: Spec) -> tuple[str, ...]:
    """The additional Services of the damaged Cluster, whose names the restored one cannot have, too."""
    additional = ((spec.get("managed") or {}).get("services") or {}).get("additional") or ()
    names = (((each.get("serviceTemplate") or {}).get("metadata") or {}).get("name") for each in additional)
    return tuple(str(name) for name in names)


def secret_of(cluster: str, spec: Spec) -> str | None:
    """The Secret of the application's role; None where the operator knows of no such role."""
    begun = _bootstrapped(spec)
    if not begun.get("database") or not begun.get("owner"):
        return None
    return (begun.get("secret") or {}).get("name") or f"{cluster}-app"


def missing(wanted: Any, seen: Any, where: str = "spec") -> tuple[str, ...]:
    """Every setting that was sent and is not there; what the API server added of its own is no difference."""
    if isinstance(wanted, Mapping):
        if not isinstance(seen, Mapping):
            return (where,) if wanted else ()
        return tuple(each for key in wanted for each in missing(wanted[key], seen.get(key), f"{where}.{key}"))
    if isinstance(wanted, list):
        if not isinstance(seen, list) or len(seen) != len(wanted):
            return (where,)
        pairs = enumerate(zip(wanted, seen, strict=True))
        return tuple(each for number, (one, other) in pairs for each in missing(one, other, f"{where}[{number}]"))
    return () if wanted == seen else (where,)


def _carried(spec: Spec, point: CnpgPoint) -> Json:
    wanted = dict(spec)
    others = [each for each in spec.get("externalClusters") or () if each.get("name") != ORIGIN]
    wanted["externalClusters"] = [*others, dict(point.origin)]
    target = {"backupID": point.backup_id, "targetName": point.name}
    recovery: Json = {"source": ORIGIN, "recoveryTarget": target}
    if secret := secret_of(point.cluster, spec):
        begun = _bootstrapped(spec)
        recovery |= {"database": begun["database"], "owner": begun["owner"], "secret": {"name": secret}}
    wanted["bootstrap"] = {"recovery": recovery}
    return wanted


def _bootstrapped(spec: Spec) -> Mapping[str, Any]:
    ways = spec.get("bootstrap") or {}
    return next((ways[way] for way in ("recovery", "pg_basebackup", "initdb") if ways.get(way)), {})
