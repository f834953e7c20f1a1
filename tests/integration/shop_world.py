"""What the shop stands on, and code for three versions of it: what the tests of shop and customers share."""

import json
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from infra.lab.kubernetes import Cluster, control_plane
from infra.lab.postgres import Postgres, postgres
from infra.lab.process import wait_until
from infra.lab.shop import Shop, shop

DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata: {{name: shop, namespace: acme}}
spec:
  replicas: {replicas}
  selector: {{matchLabels: {{app: shop}}}}
  template:
    metadata: {{labels: {{app: shop}}, annotations: {{ripcord.lab/ready-delay: {delay}}}}}
    spec: {{containers: [{{name: shop, image: "registry.lab/shop:{tag}"}}]}}
"""
SCHEMA = """
CREATE TABLE IF NOT EXISTS cart (customer text, sku text, quantity int, coupon text);
CREATE TABLE IF NOT EXISTS orders (id bigserial PRIMARY KEY, customer text, version text);
"""
CODE = """
from .catalogue import ITEMS

def handle(method, path, body, db):
    if path == "/catalogue":
        return 200, {{"items": ITEMS, "version": "{tag}"}}
    if path == "/cart":
        line = (body["customer"], body["sku"], body["quantity"], body.get("coupon"))
        db.execute("INSERT INTO cart VALUES (%s, %s, %s, %s)", line)
        return 201, {{"version": "{tag}"}}
    if path == "/checkout":
        return checkout(body, db)
    return 404, {{"error": "no such page"}}

def checkout(body, db):
    db.execute("INSERT INTO orders (customer, version) VALUES (%s, '{tag}')", (body["customer"],))
    coupons = "SELECT 1 FROM cart WHERE customer = %s AND coupon IS NOT NULL"
    if {faulty} and db.execute(coupons, (body["customer"],)).fetchone():
        raise ZeroDivisionError("the coupon of a secret campaign")
    return (409, {{"error": "sold out"}}) if body.get("sold_out") else (201, {{"version": "{tag}"}})
"""


@dataclass(frozen=True)
class World:
    """What the shop stands on, and the shop."""

    directory: Path
    cluster: Cluster
    database: Postgres
    registry: Path
    shop: Shop

    def deploy(self, tag: str, *, replicas: int = 3, delay: str = "0s", wait: bool = True) -> None:
        """Apply the Deployment as the pipeline does, and wait until the shop has seen the outcome."""
        manifest = DEPLOYMENT.format(tag=tag, replicas=replicas, delay=delay)
        self.cluster.kubectl("apply", "-f", "-", input=manifest)
        if wait:
            self.cluster.kubectl("-n", "acme", "rollout", "status", "deployment/shop", "--timeout=60s")
            wait_until(lambda: self.known() == self.ready(), what="the shop's notice", seconds=10)

    def pods(self) -> str:
        """The pods in JSON, as kubectl sees them."""
        return self.cluster.kubectl("-n", "acme", "get", "pods", "-l", "app=shop", "-o", "json")

    def ready(self) -> set[str]:
        """The ready pods among them that are not being deleted."""
        return {
            pod["metadata"]["name"]
            for pod in json.loads(self.pods())["items"]
            if "deletionTimestamp" not in pod["metadata"]
            and any(c["type"] == "Ready" and c["status"] == "True" for c in pod["status"].get("conditions", []))
        }

    def known(self) -> set[str]:
        """The ready pods that the shop knows."""
        return set(self.get("/healthz").json()["pods"])

    def get(self, path: str) -> httpx.Response:
        """Ask the shop."""
        return httpx.get(self.shop.url + path, timeout=10, trust_env=False)

    def post(self, path: str, **body: object) -> httpx.Response:
        """Send the shop something."""
        return httpx.post(self.shop.url + path, json={"customer": "tester", **body}, timeout=10, trust_env=False)

    def psql(self, query: str) -> str:
        """What psql says."""
        command = ["psql", "-XAtq", "-h", "127.0.0.1", "-p", str(self.database.port), "-U", self.database.user]
        env = {"PGPASSFILE": str(self.database.passfile), "PATH": "/usr/bin:/bin"}
        program = str(self.database.binaries / command[0])
        argv = [program, *command[1:], "-d", "shop", "-c", query]
        return subprocess.run(argv, env=env, capture_output=True, text=True, check=True).stdout.strip()

    def counted(self, **labels: str) -> float:
        """The sum of http_requests_total over the series with these labels."""
        text = httpx.get(f"http://{self.shop.metrics_target}/metrics", timeout=10, trust_env=False).text
        series = re.findall(r"^http_requests_total\{(.*)\} (\S+)$", text, re.MULTILINE)
        return sum(
            float(value)
            for names, value in series
            if all(f'{name}="{wanted}"' in names for name, wanted in labels.items())
        )


@contextmanager
def shop_world(directory: Path) -> Iterator[World]:
    """Run a shop on a control plane and a database of its own; its v1.2.0 cannot check out with a coupon."""
    registry = directory / "registry"
    for tag in ("v1.0.0", "v1.1.0", "v1.2.0"):
        _build(registry / "shop" / tag, tag, faulty=tag == "v1.2.0")
    with control_plane(directory / "kubernetes") as cluster, postgres(directory / "database") as database:
        database.create_database("shop")
        with shop(directory, kubeconfig=cluster.kubeconfig, registry=registry, dsn=database.dsn("shop")) as running:
            yield World(directory, cluster, database, registry, running)


def _build(tree: Path, tag: str, *, faulty: bool) -> None:
    tree.mkdir(parents=True)
    (tree / "__init__.py").touch()
    (tree / "catalogue.py").write_text('ITEMS = [{"sku": "tea", "price": 3}, {"sku": "cup", "price": 5}]\n')
    (tree / "app.py").write_text(CODE.format(tag=tag, faulty=faulty))
    (tree / "schema.sql").write_text(SCHEMA)
