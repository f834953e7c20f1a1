"""A shop whose database CloudNativePG runs, as far as stand-ins can: a real API server, real PostgreSQL.

The operator's Services lead nowhere here, so the address of a Cluster is that of the server behind it.
"""

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from itertools import count
from typing import Any

import psycopg
import pytest
from prefect import Task
from prefect.logging import disable_run_logger

import flows.answering
import flows.prepare_cnpg
import flows.restore_cnpg
from infra.lab.cnpg import Operator
from infra.lab.cnpg_servers import Instance
from infra.lab.kubernetes import Cluster
from infra.lab.process import LabError, wait_until
from recovery.catalog import Service
from recovery.cnpg import CnpgPoint
from recovery.cnpg_plans import CnpgPlan
from recovery.databases import Smoke
from recovery.incidents import Cause
from recovery.restore_points import WayBack
from tasks.kubernetes.cnpg import reading
from tasks.postgres import named_points
from tasks.postgres.named_points import read_named
from tests.integration.kubectl import roll_out

URL = "SHOP_DATABASE_URL"
CORRUPT = Cause(sentence="every total is 0")
SMOKE = Smoke(sql="SELECT sum(amount) FROM orders", equals="5050")
CASES = count(1)
STORE = {"destinationPath": "s3://backups/", "s3Credentials": {"inheritFromIAMRole": True}}
PLUGIN = "barman-cloud.cloudnative-pg.io"
ROLE = """
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {{name: clients-{name}, namespace: acme}}
rules:
- {{apiGroups: [""], resources: [secrets], resourceNames: [{name}-database], verbs: [get, patch]}}
- {{apiGroups: [""], resources: [services], resourceNames: [{name}-database], verbs: [get, patch]}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {{name: clients-{name}, namespace: acme}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: Role, name: clients-{name}}}
subjects: [{{kind: ServiceAccount, name: ripcord, namespace: ripcord}}]
"""


@dataclass
class CnpgShop:
    """The service, the control plane, and the stand-in of the operator."""

    service: Service
    cluster: Cluster
    operator: Operator

    @property
    def name(self) -> str:
        """Its Cluster's name, which is that of its database, too."""
        assert self.service.cnpg is not None
        return self.service.cnpg.cluster

    @property
    def restored(self) -> str:
        """The Cluster that v1.2.0's first point is restored into."""
        return f"{self.service.name}-restored-v1-2-0"

    @property
    def proof(self) -> str:
        """The copy on which it is proved."""
        return f"{self.service.name}-proof-v1-2-0"

    def sql(self, statement: str, server: Instance | None = None) -> list[tuple[Any, ...]]:
        """What plain SQL says, by a connection that is not ours; in the damaged Cluster by default."""
        server = server or self.operator.server(self.name)
        with psycopg.connect(server.dsn("shop"), autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def kubectl(self, *args: str, input: str | None = None) -> str:
        """What kubectl says in acme, as the admin."""
        return self.cluster.kubectl("-n", "acme", *args, input=input)

    def clusters(self) -> dict[str, Any]:
        """Every Cluster of this service, by its name."""
        found = json.loads(self.kubectl("get", "clusters.postgresql.cnpg.io", "-o", "json"))["items"]
        mine = (self.name, f"{self.service.name}-")
        return {each["metadata"]["name"]: each for each in found if each["metadata"]["name"].startswith(mine)}

    def backups(self) -> dict[str, Any]:
        """Every Backup of this service, by its name."""
        found = json.loads(self.kubectl("get", "backups.postgresql.cnpg.io", "-o", "json"))["items"]
        return {
            each["metadata"]["name"]: each
            for each in found
            if (each["metadata"].get("labels") or {}).get("ripcord.dev/service") == self.service.name
        }

    def gate(self, version: str = "v1.2.0") -> WayBack:
        """Walk the gate up to its answer."""
        return flows.prepare_cnpg.prove(self.service, version, rehearse=False)

    def point(self, version: str = "v1.2.0") -> CnpgPoint:
        """What the archive keeps."""
        return next(each for each in reversed(read_named.fn(self.service)) if each.version == version)

    def plan(self, version: str = "v1.2.0") -> CnpgPlan:
        """The first two paragraphs of the flow."""
        return flows.restore_cnpg.decide(self.service, version, CORRUPT)

    def take_back(self, version: str = "v1.2.0") -> tuple[str, ...]:
        """The flow after the question."""
        return flows.restore_cnpg.take_back(self.service, self.plan(version))

    def spoil(self) -> None:
        """The gate, and what hurts after it."""
        assert self.gate().proved
        self.sql("UPDATE orders SET amount = 0 WHERE id <= 50")
        self.sql("INSERT INTO orders (amount) VALUES (7)")

    def led_to(self) -> str:
        """Where the clients' Secret or Service leads, as kubectl tells it."""
        assert self.service.cnpg is not None
        if self.service.cnpg.secret:
            path = "jsonpath={.data.DATABASE_URL}"
            coded = self.kubectl("get", "secret", f"{self.service.name}-database", "-o", path)
            return base64.b64decode(coded).decode()
        asked = ("get", "service", f"{self.service.name}-database", "-o")
        name = self.kubectl(*asked, "jsonpath={.spec.externalName}")
        return name or self.kubectl(*asked, "jsonpath={.spec.selector}")

    def restarts(self) -> int:
        """How often the Deployment's template was changed."""
        return int(self.kubectl("get", "deployment", self.service.name, "-o", "jsonpath={.metadata.generation}"))

    def with_(self, **changes: object) -> "CnpgShop":
        """The same with another word in the catalogue."""
        assert self.service.cnpg is not None
        cnpg = self.service.cnpg.model_copy(update=changes)
        return CnpgShop(self.service.model_copy(update={"cnpg": cnpg}), self.cluster, self.operator)


def cluster_spec(**more: Any) -> dict[str, Any]:
    """A Cluster that is set in its own way, as a team would write it."""
    spec = {
        "instances": 3,
        "storage": {"size": "10Gi", "storageClass": "fast"},
        "postgresql": {
            "parameters": {"work_mem": "8MB"},
            "synchronous": {"method": "any", "number": 1, "dataDurability": "required"},
        },
        "bootstrap": {"initdb": {"database": "shop", "owner": "shop"}},
        "backup": {"retentionPolicy": "30d", "barmanObjectStore": {**STORE, "wal": {"compression": "gzip"}}},
        "resources": {"requests": {"memory": "1Gi"}},
        "monitoring": {"enablePodMonitor": True},
        "managed": {"roles": [{"name": "reporting", "ensure": "present", "login": True}]},
        **more,
    }
    return {key: value for key, value in spec.items() if value is not None}


def by_plugin(**parameters: str) -> dict[str, Any]:
    """What of the spec says that the Barman Cloud plugin archives."""
    plugin = {"name": PLUGIN, "isWALArchiver": True, "parameters": {"barmanObjectName": "store", **parameters}}
    return {"plugins": [plugin], "backup": None}


@contextmanager
def new_cnpg_shop(
    cluster: Cluster,
    operator: Operator,
    monkeypatch: pytest.MonkeyPatch,
    archive: str,
    *,
    lead: str = "secret",
    spec: dict[str, Any] | None = None,
    by_prefect: bool = False,
) -> Iterator[CnpgShop]:
    """The shop with a Cluster of its own, on which ripcord has exactly the rights of the runbook.

    Tasks are plain functions, unless it is Prefect that runs them.
    """
    name = f"held-{next(CASES)}"
    led: dict[str, Any] = {lead: {"name": f"{name}-database"}}
    entry = {"cluster": f"{name}-db", "url_variable": URL, "smoke": [SMOKE.model_dump()], **led}
    service = Service.model_validate(
        {"name": name, "namespace": "acme", "repository": "acme/shop", "cnpg": entry, "settle": "60s"}
    )
    shop = CnpgShop(service, cluster, operator)
    _make(shop, spec or cluster_spec())
    monkeypatch.setenv("RIPCORD_KUBECONFIG", str(cluster.kubeconfig_for("ripcord")))
    monkeypatch.setenv("RIPCORD_PATIENCE", "0.01")
    monkeypatch.setenv("RIPCORD_ARCHIVE", archive)
    server = operator.server(shop.name)
    monkeypatch.setenv(URL, f"postgresql://{server.user}:{server.password}@nowhere.invalid/shop")
    monkeypatch.setattr(
        named_points,
        "address_of",
        lambda namespace, name: {"host": "127.0.0.1", "port": str(operator.server(name).port)},
    )
    monkeypatch.setattr(reading, "POLL_SECONDS", 0.05)
    monkeypatch.setattr(named_points, "POLL_SECONDS", 0.05)
    monkeypatch.setattr(flows.restore_cnpg, "wait_until_recovered", lambda *said: "customers succeed")
    if not by_prefect:
        monkeypatch.setattr(Task, "__call__", lambda self, *given, **named: self.fn(*given, **named))
        for part in ("show", "notify"):
            monkeypatch.setattr(flows.restore_cnpg, part, lambda *said: "said")
        for module in (flows.prepare_cnpg, flows.answering):
            monkeypatch.setattr(module, "show", lambda *said: None)
    try:
        with nullcontext() if by_prefect else disable_run_logger():
            yield shop
    finally:
        shop.kubectl("delete", "clusters.postgresql.cnpg.io", *shop.clusters(), "--wait=false")


def _make(shop: CnpgShop, spec: dict[str, Any]) -> None:
    name = shop.service.name
    roll_out(shop.cluster, name, "v1.2.0", replicas=1)
    url = f"postgresql://shop:p%40ss@{shop.name}-rw.acme.svc:5432/shop?sslmode=require"
    shop.kubectl("create", "secret", "generic", f"{name}-database", f"--from-literal=DATABASE_URL={url}")
    host = f"{shop.name}-rw.acme.svc.cluster.local"
    shop.kubectl("create", "service", "externalname", f"{name}-database", f"--external-name={host}")
    shop.kubectl("apply", "-f", "-", input=ROLE.format(name=name))
    made = {"apiVersion": "postgresql.cnpg.io/v1", "kind": "Cluster", "metadata": {"name": shop.name}, "spec": spec}
    shop.kubectl("create", "-f", "-", input=json.dumps(made))
    server = shop.operator.wait_for(shop.name)
    server.create_database("shop")
    shop.sql("CREATE TABLE orders (id serial PRIMARY KEY, amount int NOT NULL)")
    shop.sql("INSERT INTO orders (amount) SELECT generate_series(1, 100)")
    # The API server's authorizer hears of a role some milliseconds after it was stored.
    wait_until(lambda: _is_allowed(shop), what="the right", seconds=20)


def _is_allowed(shop: CnpgShop) -> bool:
    ripcord = shop.cluster.kubeconfig_for("ripcord")
    with suppress(LabError):
        shop.cluster.kubectl("-n", "acme", "get", "secret", f"{shop.service.name}-database", kubeconfig=ripcord)
        return bool(shop.cluster.kubectl("-n", "acme", "get", "cluster.postgresql.cnpg.io", kubeconfig=ripcord))
    return False
