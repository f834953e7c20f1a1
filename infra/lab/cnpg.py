"""A stand-in of CloudNativePG's operator: its kinds in a real API server, and behind each Cluster a PostgreSQL.

It does what the operator's documentation says of bootstrap by `initdb` and by `recovery`, of Backups into an object
store (its own and the Barman Cloud plugin's, which are one directory here), of fencing, of the archive that must be
empty, and of deletion. It has one server for each Cluster, whatever `instances` says, no pods, no Services that lead
anywhere, and knows nothing of certificates, roles, storage or updates.
"""

import json
import os
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import urllib3
from kubernetes import client, config

from infra.lab.cnpg_servers import Instance, Recovery, Store, back_up, instance, store
from infra.lab.controlplane import DATA
from infra.lab.kubernetes import PRODUCTION, Cluster
from infra.lab.process import LabError, wait_until

GROUP, VERSION = "postgresql.cnpg.io", "v1"
KINDS = ("clusters", "backups")
NAMESPACE = "acme"
API = f"/apis/{GROUP}/{VERSION}/namespaces/{NAMESPACE}"
EVERY_SECONDS = 0.05
READY_SECONDS = 60.0
HEALTHY, SETTING_UP = "Cluster in healthy state", "Setting up primary"
Json = dict[str, Any]


class Operator:
    """The loop that reconciles Clusters and Backups, and what a test may do to it."""

    def __init__(self, api: client.ApiClient, directory: Path, kept: Store) -> None:
        self.store = kept
        self.failing: set[str] = set()
        """Clusters whose Backups fail."""
        self.not_archiving: set[str] = set()
        """Clusters of which it says that their WAL is not archived."""
        self.log: list[str] = []
        """Why something did not come up: what the operator's pods would have in their logs."""
        self._api, self._directory = api, directory
        self._servers: dict[str, tuple[str, Instance, ExitStack]] = {}
        self._given_up: set[str] = set()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="cnpg", daemon=True)

    def server(self, name: str) -> Instance:
        """The PostgreSQL of a Cluster. Raises LabError when there is none."""
        found = next((server for known, server, _ in self._servers.values() if known == name), None)
        if found is None:
            raise LabError(f"the Cluster {name} has no server: {'; '.join(self.log) or 'it is not up yet'}")
        return found

    def wait_for(self, name: str) -> Instance:
        """Wait until a Cluster is healthy, and return its server."""
        wait_until(lambda: self._phase(name) == HEALTHY, what=f"the Cluster {name}", seconds=READY_SECONDS)
        return self.server(name)

    def _phase(self, name: str) -> str | None:
        found = (each for each in self._list("clusters") if each["metadata"]["name"] == name)
        return next((each.get("status", {}).get("phase") for each in found), None)

    def _run(self) -> None:
        while not self._end.wait(EVERY_SECONDS):
            # An API server that is away, or an object that was changed meanwhile: the next round sees to it.
            with suppress(LabError, client.exceptions.ApiException, urllib3.exceptions.HTTPError):
                self._reconcile()

    def _reconcile(self) -> None:
        clusters = self._list("clusters")
        # First: of two servers of one name the removed Cluster's would be asked.
        for uid in self._servers.keys() - {each["metadata"]["uid"] for each in clusters}:
            self._servers.pop(uid)[2].close()
        for each in clusters:
            self._see_to_cluster(each)
        for each in self._list("backups"):
            self._see_to_backup(each, clusters)

    def _list(self, plural: str) -> list[Json]:
        found: list[Json] = self._ask("GET", f"{API}/{plural}")["items"]
        return found

    def _ask(self, method: str, path: str, body: Json | None = None, kind: str = "application/json") -> Json:
        """One request, raw. Raises LabError with what the API server said against it."""
        headers = {"Accept": "application/json"} | ({"Content-Type": kind} if body is not None else {})
        call = self._api.param_serialize(method, path, header_params=headers, body=body, auth_settings=["BearerToken"])
        answer = self._api.call_api(*call)
        text = answer.read()
        if answer.status >= 400:
            raise LabError(f"{method} {path}: {text[:300]!r}")
        told: Json = json.loads(text)
        return told

    def _see_to_cluster(self, found: Json) -> None:
        uid = found["metadata"]["uid"]
        if uid in self._given_up:
            return
        if uid not in self._servers:
            self._tell("clusters", found, {"phase": SETTING_UP, "phaseReason": "Creating primary instance"})
            try:
                self._bring_up(found)
            except LabError as error:
                self.log.append(str(error))
                self._given_up.add(uid)
                return
        _, server, _ = self._servers[uid]
        fenced = (found["metadata"].get("annotations") or {}).get("cnpg.io/fencedInstances") == '["*"]'
        if fenced and server.up:
            server.stop()
        elif not fenced and not server.up:
            server.start()
        self._tell("clusters", found, self._status(found, server))

    def _bring_up(self, found: Json) -> None:
        name, spec = found["metadata"]["name"], found["spec"]
        stack = ExitStack()
        place = self._directory / found["metadata"]["uid"]
        recovery = _recovery(spec)
        server = stack.enter_context(instance(place, self.store, _archives_as(name, spec), recovery))
        self._servers[found["metadata"]["uid"]] = (name, server, stack)
        self._make_service(found)

    def _status(self, found: Json, server: Instance) -> Json:
        name, wanted = found["metadata"]["name"], found["spec"]["instances"]
        conditions = [_condition("Ready", server.up, "ClusterIsReady" if server.up else "ClusterIsNotReady")]
        if _archives_as(name, found["spec"]):
            archived = name not in self.not_archiving
            reason = "ContinuousArchivingSuccess" if archived else "ContinuousArchivingFailing"
            conditions.append(_condition("ContinuousArchiving", archived, reason))
        return {
            "phase": HEALTHY,
            "phaseReason": "",
            "instances": wanted,
            "readyInstances": wanted if server.up else 0,
            "currentPrimary": f"{name}-1",
            "writeService": f"{name}-rw",
            "conditions": conditions,
        }

    def _see_to_backup(self, found: Json, clusters: list[Json]) -> None:
        if (found.get("status") or {}).get("phase") in ("completed", "failed"):
            return
        name = found["spec"]["cluster"]["name"]
        of = next((each for each in clusters if each["metadata"]["name"] == name), None)
        server_name = _archives_as(name, of["spec"]) if of else None
        if of is None or server_name is None or of["metadata"]["uid"] not in self._servers:
            self._tell("backups", found, {"phase": "pending"})
            return
        _, server, _ = self._servers[of["metadata"]["uid"]]
        if not server.up:
            self._tell("backups", found, {"phase": "pending"})
        elif name in self.failing:
            self._tell("backups", found, {"phase": "failed", "error": "can't execute backup: exit status 4"})
        else:
            self._tell("backups", found, {"phase": "running", "method": found["spec"]["method"]})
            self._tell("backups", found, {"phase": "completed"} | back_up(server, self.store, server_name))

    def _tell(self, plural: str, found: Json, status: Json) -> None:
        """Write a status, unless it stands there already."""
        known = found.get("status") or {}
        if all(known.get(key) == value or _same(known.get(key), value) for key, value in status.items()):
            return
        name = found["metadata"]["name"]
        # Only of the very object that was seen: another may have its name by now, and is not up because this one was.
        body = {"metadata": {"resourceVersion": found["metadata"]["resourceVersion"]}, "status": status}
        told = self._ask("PATCH", f"{API}/{plural}/{name}/status", body, "application/merge-patch+json")
        found["metadata"], found["status"] = told["metadata"], told["status"]

    def _make_service(self, found: Json) -> None:
        metadata = found["metadata"]
        owner = {
            "apiVersion": f"{GROUP}/{VERSION}", "kind": "Cluster", "name": metadata["name"], "uid": metadata["uid"],
            "controller": True,
        }  # fmt: skip
        selector = {"cnpg.io/cluster": metadata["name"], "cnpg.io/instanceRole": "primary"}
        body = {
            "metadata": {"name": f"{metadata['name']}-rw", "ownerReferences": [owner]},
            "spec": {"selector": selector, "ports": [{"port": 5432}]},
        }
        with suppress(LabError):  # it is there
            self._ask("POST", f"/api/v1/namespaces/{NAMESPACE}/services", body)

    def _close(self) -> None:
        self._end.set()
        if self._thread.is_alive():
            self._thread.join()
        for _, _, stack in self._servers.values():
            stack.close()


@contextmanager
def cnpg(cluster: Cluster, directory: Path) -> Iterator[Operator]:
    """The CRDs, the rules of the operator's webhook, ripcord's role, and the stand-in, for the time of the block.

    The CRDs stay in the control plane.
    """
    install(cluster)
    settings = client.Configuration()
    config.load_kube_config(str(cluster.kubeconfig), client_configuration=settings)
    # Asked before each request it reads the environment, which the tests' thread changes: an error in the middle of it.
    settings.refresh_api_key_hook = None
    with store(directory / "store") as kept, client.ApiClient(settings) as api:
        operator = Operator(api, directory, kept)
        operator._thread.start()
        try:
            yield operator
        finally:
            operator._close()
            for kind in KINDS:
                cluster.kubectl("-n", NAMESPACE, "delete", f"{kind}.{GROUP}", "--all")


def crds() -> list[Path]:
    """The files with the kinds: those that stand in, or the operator's own where RIPCORD_LAB_CNPG_CRDS names them.

    Raises LabError where that directory has none.
    """
    theirs = os.environ.get("RIPCORD_LAB_CNPG_CRDS")
    found = sorted(Path(theirs).glob("*.yaml")) if theirs else [DATA / "cnpg-crds.yaml"]
    if not found:
        raise LabError(
            f"RIPCORD_LAB_CNPG_CRDS names {theirs}, and there is no file *.yaml: name the directory of the CRDs"
        )
    return found


def install(cluster: Cluster) -> None:
    """Have the control plane know CloudNativePG's kinds and rules, and what ripcord may do with them."""
    kinds = [f"crd/{kind}.{GROUP}" for kind in KINDS]
    if not cluster.kubectl("get", *kinds, "--ignore-not-found", "-o", "name"):
        # Created and not applied: with the operator's own the annotation of `apply` would be larger than is taken.
        cluster.kubectl("create", *(f"--filename={each}" for each in crds()))
    wait_until(lambda: _serves(cluster), what="CloudNativePG's kinds", seconds=READY_SECONDS, every=0.1)
    cluster.kubectl("apply", f"--filename={DATA / 'cnpg-webhook.yaml'}", f"--filename={PRODUCTION / 'cnpg'}")
    # A policy acts only some time after it was stored.
    wait_until(lambda: _refuses(cluster), what="the rules of the webhook", seconds=READY_SECONDS, every=0.1)


def _serves(cluster: Cluster) -> bool:
    with suppress(LabError):
        cluster.kubectl("-n", NAMESPACE, "get", ",".join(f"{kind}.{GROUP}" for kind in KINDS))
        return True
    return False


def _refuses(cluster: Cluster) -> bool:
    named = {"name": "n" * 51, "namespace": NAMESPACE}
    wrong = {"apiVersion": f"{GROUP}/{VERSION}", "kind": "Cluster", "metadata": named, "spec": {"instances": 1}}
    try:
        cluster.kubectl("create", "--dry-run=server", "-f", "-", input=json.dumps(wrong))
    except LabError as error:
        return "the maximum length" in str(error)
    return False


def _archives_as(name: str, spec: Json) -> str | None:
    """Under which name a Cluster archives; None where it does not."""
    for plugin in spec.get("plugins") or ():
        if plugin.get("isWALArchiver") and plugin.get("enabled", True):
            return str((plugin.get("parameters") or {}).get("serverName") or name)
    kept = (spec.get("backup") or {}).get("barmanObjectStore")
    return str(kept.get("serverName") or name) if kept else None


def _recovery(spec: Json) -> Recovery | None:
    found = (spec.get("bootstrap") or {}).get("recovery")
    if not found:
        return None
    entry = next(each for each in spec["externalClusters"] if each["name"] == found["source"])
    told = entry["plugin"].get("parameters") or {} if "plugin" in entry else entry["barmanObjectStore"]
    target = found["recoveryTarget"]
    return Recovery(told.get("serverName") or entry["name"], target["backupID"], target["targetName"])


def _condition(kind: str, holds: bool, reason: str) -> Json:
    now = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
    status = "True" if holds else "False"
    return {"type": kind, "status": status, "reason": reason, "message": reason, "lastTransitionTime": now}


def _same(known: Any, wanted: Any) -> bool:
    """Whether two lists of conditions say the same but for the time; nothing and an empty text, or 0, are the same."""
    if not isinstance(wanted, list) or not isinstance(known, list):
        return not known and not wanted
    bare = [
        [{key: each[key] for key in each if key != "lastTransitionTime"} for each in side] for side in (known, wanted)
    ]
    return bare[0] == bare[1]
