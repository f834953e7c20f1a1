"""The lab's shop, its customers and the message sink, on a real control plane and a real PostgreSQL."""

import json
import re
import signal
import subprocess
import sys
import textwrap
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from infra.lab.customers import Customers, customers
from infra.lab.kubernetes import Cluster, control_plane
from infra.lab.postgres import Postgres, postgres
from infra.lab.process import Process, free_port, wait_until
from infra.lab.shop import Shop, shop
from infra.lab.shop_metrics import ROUTES, Metrics
from infra.lab.sink import Sink, sink

ROOT = Path(__file__).parents[2]
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


@pytest.fixture(name="world", scope="module")
def _world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    directory = tmp_path_factory.mktemp("shop")
    registry = directory / "registry"
    for tag in ("v1.0.0", "v1.1.0", "v1.2.0"):
        _build(registry / "shop" / tag, tag, faulty=tag == "v1.2.0")
    with control_plane(directory / "kubernetes") as cluster, postgres(directory / "database") as database:
        database.create_database("shop")
        with shop(directory, kubeconfig=cluster.kubeconfig, registry=registry, dsn=database.dsn("shop")) as running:
            yield World(directory, cluster, database, registry, running)


@pytest.fixture(name="messages")
def _messages(tmp_path: Path) -> Iterator[Sink]:
    with sink(tmp_path) as running:
        yield running


def _build(tree: Path, tag: str, *, faulty: bool) -> None:
    tree.mkdir(parents=True)
    (tree / "__init__.py").touch()
    (tree / "catalogue.py").write_text('ITEMS = [{"sku": "tea", "price": 3}, {"sku": "cup", "price": 5}]\n')
    (tree / "app.py").write_text(CODE.format(tag=tag, faulty=faulty))
    (tree / "schema.sql").write_text(SCHEMA)


@contextmanager
def _standing_still(process: Process) -> Iterator[None]:
    process.kill(signal.SIGSTOP)
    try:
        yield
    finally:
        process.kill(signal.SIGCONT)


def _wait_for_log(running: Shop, line: str) -> None:
    wait_until(lambda: line in running.process.tail(3), what=f"{line!r} in the log", seconds=5)


def _finish(running: Customers) -> None:
    wait_until(lambda: not running.process.running(), what="the customers' end", seconds=60)


def test_requests_are_spread_over_the_ready_pods(world: World) -> None:
    """Each of the ready pods that kubectl lists gets its share, and answers as the code of its tag does."""
    world.deploy("v1.0.0")

    answers = [world.get("/catalogue") for _ in range(90)]

    pods = Counter(answer.headers["X-Pod"] for answer in answers)
    assert set(pods) == world.ready()
    assert min(pods.values()) >= 10
    assert {answer.headers["X-Version"] for answer in answers} == {"v1.0.0"}
    assert {answer.json()["version"] for answer in answers} == {"v1.0.0"}


def test_a_rollout_mixes_two_versions_until_it_is_done(world: World) -> None:
    """While a rollout goes on both versions answer, each with its own code; afterwards only the new one."""
    world.deploy("v1.0.0")

    world.deploy("v1.1.0", delay="1s", wait=False)
    seen: list[tuple[str, str]] = []
    deadline = time.monotonic() + 30
    while len([version for version, _ in seen[-6:] if version == "v1.1.0"]) < 6:
        assert time.monotonic() < deadline
        answer = world.get("/catalogue")
        seen.append((answer.headers["X-Version"], answer.json()["version"]))
    world.cluster.kubectl("-n", "acme", "rollout", "status", "deployment/shop", "--timeout=60s")
    wait_until(lambda: world.known() == world.ready(), what="the shop's notice", seconds=10)

    versions = [version for version, _ in seen]
    assert all(header == body for header, body in seen)
    assert "v1.0.0" in versions[versions.index("v1.1.0") :], "the versions were never mixed"
    assert {world.get("/catalogue").headers["X-Version"] for _ in range(12)} == {"v1.1.0"}


def test_the_shop_notices_a_change_of_its_pods_at_once(world: World) -> None:
    """A pod that is being deleted, though still ready, gets no request half a second later."""
    world.deploy("v1.0.0")
    victim = sorted(world.ready())[0]

    with _standing_still(world.cluster.kwok):
        world.cluster.kubectl("-n", "acme", "delete", "pod", victim, "--wait=false")
        deleted = time.monotonic()
        wait_until(lambda: victim not in world.known(), what="the shop's notice", seconds=10, every=0.01)
        noticed = time.monotonic()
        still_there = victim in world.pods()

    assert still_there
    assert noticed - deleted < 0.5


def test_a_version_whose_code_raises_answers_500_and_is_counted_as_itself(world: World) -> None:
    """The customer learns no more than the error's name, the log has the traceback, the metrics the version."""
    world.deploy("v1.2.0")
    before = world.counted(version="v1.2.0", route="/checkout", code="500")

    world.post("/cart", customer="saver", sku="tea", quantity=1, coupon="WELCOME10").raise_for_status()
    answers = [world.post("/checkout", customer="saver") for _ in range(5)]

    assert [answer.status_code for answer in answers] == [500] * 5
    assert "secret campaign" not in answers[0].text
    assert world.counted(version="v1.2.0", route="/checkout", code="500") == before + 5
    log = world.shop.process.log.read_text()
    assert "POST /checkout failed in v1.2.0" in log
    assert "ZeroDivisionError: the coupon of a secret campaign" in log


@pytest.mark.parametrize(
    ("tag", "customer", "status"), [("v1.0.0", "late", 409), ("v1.2.0", "saver", 500)], ids=["refused", "raised"]
)
def test_what_is_not_answered_by_success_is_rolled_back(world: World, tag: str, customer: str, status: int) -> None:
    """An order written before a refusal or an exception is not in the database afterwards; a good one is."""
    world.deploy(tag)
    world.post("/cart", customer="saver", sku="tea", quantity=1, coupon="WELCOME10").raise_for_status()
    before = int(world.psql("SELECT count(*) FROM orders"))

    failed = world.post("/checkout", customer=customer, sold_out=True)
    accepted = world.post("/checkout")

    assert failed.status_code == status
    assert accepted.status_code == 201
    assert int(world.psql("SELECT count(*) FROM orders")) == before + 1


def test_an_image_that_the_registry_does_not_have_is_a_500_of_its_version(world: World) -> None:
    """A pod whose tag was never built answers 500, and the good version is served again after it."""
    world.deploy("v9.9.9")
    missing = world.get("/catalogue")
    world.deploy("v1.0.0")

    assert missing.status_code == 500
    assert missing.headers["X-Version"] == "v9.9.9"
    assert world.get("/catalogue").status_code == 200


def test_no_ready_pod_is_a_503(world: World) -> None:
    """A Deployment without pods, like one whose pods cannot start, leaves nobody to answer."""
    world.deploy("v1.0.0")
    before = world.counted(version="none", code="503")

    world.deploy("v1.0.0", replicas=0)
    empty = world.get("/catalogue")
    world.deploy("bad", wait=False)
    wait_until(lambda: "ImagePullBackOff" in world.pods(), what="the failure of the image", seconds=30)
    bad = world.get("/catalogue")

    assert (empty.status_code, bad.status_code) == (503, 503)
    assert empty.headers["X-Version"] == "none"
    assert world.counted(version="none", code="503") == before + 2


def test_the_last_known_pods_serve_while_the_control_plane_is_down(world: World) -> None:
    """A dead API server takes no traffic down, and what it says after its return is followed."""
    world.deploy("v1.0.0")

    world.cluster.apiserver.kill()
    _wait_for_log(world.shop, "keeping the 3 known")
    during = [world.get("/catalogue").status_code for _ in range(10)]
    world.cluster.restart("apiserver")
    _wait_for_log(world.shop, "following the API server again")
    after = world.known()

    assert during == [200] * 10
    assert after == world.ready()
    world.deploy("v1.1.0")
    assert world.get("/catalogue").headers["X-Version"] == "v1.1.0"


def test_connections_that_the_database_has_ended_cost_no_customer_anything(world: World) -> None:
    """After a restart or a cutover of the database the next requests are served on new connections."""
    world.deploy("v1.0.0")
    assert world.post("/checkout").status_code == 201

    theirs = "FROM pg_stat_activity WHERE application_name = 'shop'"
    ended = world.psql(f"SELECT pg_terminate_backend(pid) {theirs}")
    wait_until(lambda: world.psql(f"SELECT count(*) {theirs}") == "0", what="the end of all", seconds=10)

    assert "t" in ended.split()
    assert [world.post("/checkout").status_code for _ in range(10)] == [201] * 10


def test_customers_metrics_and_database_agree(world: World, tmp_path: Path) -> None:
    """Through a faulty release and back, the customers count what the shop's metrics and psql count."""
    world.deploy("v1.0.0")
    orders = int(world.psql("SELECT count(*) FROM orders"))
    answered, failed = world.counted(), world.counted(code="500")

    with customers(tmp_path, world.shop.url, per_second=30, seconds=600) as running:
        wait_until(lambda: running.count().customers_served >= 10, what="the first customers", seconds=60)
        world.deploy("v1.2.0")
        wait_until(lambda: running.count().failed >= 5, what="the failures", seconds=60)
        world.deploy("v1.0.0")
        repaired = running.count()
        wait_until(lambda: running.count().requests >= repaired.requests + 60, what="more customers", seconds=60)
        running.stop()
        count = running.count()

    assert count.requests == world.counted() - answered
    assert count.failed == count.customers_failed == world.counted(code="500") - failed
    assert count.customers_served == int(world.psql("SELECT count(*) FROM orders")) - orders
    assert count.failed_by_version == {"v1.2.0": count.failed}
    assert count.first_failure is not None
    assert count.last_failure is not None
    assert count.first_failure < count.last_failure


def test_customers_come_in_bounded_numbers_and_buy_the_same_with_the_same_seed(world: World, tmp_path: Path) -> None:
    """The load ends by itself after rate x time requests; two runs of one seed differ in nothing but names."""
    world.deploy("v1.0.0")
    bought = []
    for seed in (7, 7, 8):
        world.psql("TRUNCATE cart")
        with customers(tmp_path, world.shop.url, per_second=60, seconds=2, seed=seed) as running:
            _finish(running)
        bought.append(world.psql("SELECT sku, quantity, coupon FROM cart ORDER BY split_part(customer, '-', 2)::int"))

    assert len(bought[0].splitlines()) == 40
    assert bought[0] == bought[1] != bought[2]
    assert 5 <= bought[0].count("WELCOME10") <= 22


def test_customers_of_a_dead_shop_count_their_failures(tmp_path: Path) -> None:
    """A shop that nobody runs fails every customer at the first request."""
    with customers(tmp_path, f"http://127.0.0.1:{free_port()}", per_second=30, seconds=1) as running:
        _finish(running)
        count = running.count()

    assert count.requests == count.failed == count.customers_failed == 10
    assert count.customers_served == 0
    assert count.failed_by_version == {"none": 10}


def test_random_paths_do_not_fill_prometheus() -> None:
    """However many paths are asked for, the routes stay within their bound and ids are not among them."""
    metrics = Metrics("shop")
    for number in range(500):
        metrics.count("v1.0.0", f"/orders/{number}", 200, 0.01)
        metrics.count("v1.0.0", f"/{'x' * number}.php", 404, 0.01)
        metrics.count("none", f"/{'y' * number}", 503, 0.01)

    routes = set(re.findall(r'http_requests_total\{.*route="([^"]*)"', metrics.text().decode()))
    assert {"/orders/{id}", "other"} <= routes
    assert len(routes) <= ROUTES + 1


def test_the_sink_keeps_every_message_without_its_credentials(messages: Sink) -> None:
    """What was posted is in the file when its sender has the answer; the Authorization header never is."""
    headers = {"Authorization": "Bearer hush", "X-Kind": "page"}
    kept = []
    for body in ('{"text": "shop is back"}', "plain text"):
        httpx.post(f"{messages.url}/chat", content=body, headers=headers, trust_env=False).raise_for_status()
        kept.append(messages.messages()[-1])

    assert [message["body"] for message in kept] == [{"text": "shop is back"}, "plain text"]
    assert kept[0]["headers"]["x-kind"] == "page"
    assert kept[0]["path"] == "/chat"
    assert "hush" not in messages.log.read_text()


def test_the_sink_fails_as_often_as_it_is_told(messages: Sink) -> None:
    """A refused message is an attempt and not a message; then the sink accepts again."""
    messages.fail(2, 500)

    sent = [httpx.post(messages.url, json={"try": number}, trust_env=False) for number in range(3)]
    answers = [answer.status_code for answer in sent]

    assert answers == [500, 500, 200]
    assert [message["body"] for message in messages.messages()] == [{"try": 2}]
    assert [attempt["answered"] for attempt in messages.attempts()] == [500, 500, 200]


def test_killing_the_parent_leaves_nothing_running(world: World, tmp_path: Path) -> None:
    """kill -9 of who started shop, customers and sink ends all three, and the password was in no argv."""
    script = textwrap.dedent(
        """
        import signal, sys
        from pathlib import Path
        from infra.lab.customers import customers
        from infra.lab.shop import shop
        from infra.lab.sink import sink
        directory, kubeconfig, registry = map(Path, sys.argv[1:])
        dsn = sys.stdin.readline().strip()
        with (
            shop(directory, kubeconfig=kubeconfig, registry=registry, dsn=dsn) as running,
            customers(directory, running.url) as buying,
            sink(directory) as keeping,
        ):
            print(running.process.pid, buying.process.pid, keeping.process.pid, flush=True)
            signal.pause()
        """
    )
    argv = [sys.executable, "-c", script, str(tmp_path), str(world.cluster.kubeconfig), str(world.registry)]
    with subprocess.Popen(argv, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdin is not None
        assert parent.stdout is not None
        parent.stdin.write(world.database.dsn("shop") + "\n")
        parent.stdin.flush()
        processes = [Path("/proc") / pid for pid in parent.stdout.readline().split()]
        arguments = [(process / "cmdline").read_text() for process in processes]
        parent.send_signal(signal.SIGKILL)

    assert len(processes) == 3
    assert all(world.database.password not in argument for argument in arguments)
    wait_until(lambda: not any(map(Path.exists, processes)), what="the end of all three", seconds=10)
