"""The lab's team: the history it makes, and the bug it ships, seen by plain git and on a real PostgreSQL."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from infra.lab.githost import GitHost, git_host
from infra.lab.postgres import Postgres
from infra.lab.shop_code import Handle, load
from infra.lab.team import Team
from tests.integration.plain_git import git, rest

VERSIONS = ("v1.0.0", "v1.1.0", "v1.2.0")
SOURCE = Path(__file__).parents[2] / "infra/lab/shop_source"
Db = psycopg.Connection[tuple[Any, ...]]


@pytest.fixture(name="host", scope="module")
def _host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GitHost]:
    with git_host(tmp_path_factory.mktemp("githost")) as host:
        yield host


@pytest.fixture(name="bare", scope="module")
def _bare(host: GitHost, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shop's repository on the host after three releases, with the healthy search beside it."""
    for service, faulty in (("shop", True), ("search", False)):
        team = Team(host, directory=tmp_path_factory.mktemp("team"), service=service, faulty=faulty)
        team.start()
        team.release("v1.1.0")
        team.release("v1.2.0")
    return host.bare("acme/shop")


@pytest.fixture(name="db")
def _db(database: Postgres, request: pytest.FixtureRequest) -> Iterator[Db]:
    name = f"shop_{abs(hash(request.node.name))}"
    database.create_database(name)
    with psycopg.connect(database.dsn(name)) as db:
        yield db


def _installed(host: GitHost, service: str, version: str, directory: Path, db: Db) -> Handle:
    """The code of a tag as a plain clone has it, with its tables made."""
    place = directory / f"{service}-{version}"
    reader = host.token("reader", write=False)
    git(
        "clone",
        "--quiet",
        "--branch",
        version,
        host.clone_url(f"acme/{service}"),
        str(place),
        at=directory,
        token=reader,
    )
    db.execute((place / "schema.sql").read_bytes())
    return load(place, f"tested_{service}_{version.replace('.', '_')}")


def _buy(handle: Handle, db: Db, where: str, coupon: str | None) -> tuple[int, dict[str, Any]]:
    """One customer's visit; the coupon is given with the cart or at the checkout."""
    line = {"customer": "ada", "sku": "MUG-01", "quantity": 2}
    order: dict[str, Any] = {"customer": "ada"}
    (line if where == "/cart" else order)["coupon"] = coupon
    status, cart = handle("POST", "/cart", line, db)
    assert status == 201, cart
    return handle("POST", "/checkout", order, db)


def _contents(place: Path) -> dict[str, bytes]:
    files = [file for file in place.rglob("*") if file.is_file() and file.suffix != ".pyc"]
    return {str(file.relative_to(place)): file.read_bytes() for file in files}


@pytest.mark.parametrize("version", VERSIONS)
def test_a_tag_holds_what_the_source_says(bare: Path, tmp_path: Path, version: str) -> None:
    """Each tag's tree is the release's directory in shop_source, file by file."""
    git(f"--work-tree={tmp_path}", f"--git-dir={bare}", "checkout", version, "--", ".", at=tmp_path)

    assert _contents(tmp_path) == _contents(SOURCE / version.replace(".", "_"))


def test_main_is_a_line_of_release_merges(bare: Path) -> None:
    """Every release is a true merge of develop on main's own line, tagged with an annotated tag."""
    merges = git("log", "--first-parent", "--min-parents=2", "--format=%s", "main", at=bare).splitlines()
    tagged = [git("rev-parse", f"{version}^{{commit}}", at=bare) for version in VERSIONS]

    assert merges == [f"Release {version}" for version in reversed(VERSIONS)]
    assert (
        tagged == git("log", "--first-parent", "--min-parents=2", "--reverse", "--format=%H", "main", at=bare).split()
    )
    assert {git("cat-file", "-t", version, at=bare) for version in VERSIONS} == {"tag"}


def test_the_faulty_release_came_by_three_pull_requests(host: GitHost, bare: Path) -> None:
    """Its work lies in three merged requests over several new and changed files, so that no one revert undoes it."""
    token = host.token("team")
    merges = git("log", "--merges", "--format=%s", "v1.1.0..v1.2.0^2", at=bare).splitlines()
    changed = git("diff", "--name-status", "v1.1.0", "v1.2.0", "--", "shop", at=bare).splitlines()

    requests = rest(host, token, "GET", "/repos/acme/shop/pulls?state=closed&per_page=3").json()

    assert merges == [f"Merge pull request #{r['number']} from acme/{r['head']['ref']}" for r in requests]
    assert all(r["merged_at"] for r in requests)
    assert [line[0] for line in changed] == ["M", "M", "A", "A", "M"]


def test_github_calls_the_last_release_the_latest(host: GitHost, bare: Path) -> None:
    """Three releases, dated by their commits a week apart, and v1.2.0 is the latest."""
    token = host.token("team")

    listed = [r["tag_name"] for r in rest(host, token, "GET", "/repos/acme/shop/releases").json()]

    assert listed == ["v1.2.0", "v1.1.0", "v1.0.0"]
    assert rest(host, token, "GET", "/repos/acme/shop/releases/latest").json()["tag_name"] == "v1.2.0"


def test_no_token_is_left_in_the_teams_clone(host: GitHost, tmp_path: Path) -> None:
    """Neither the configuration nor any other file of the working copy holds the token."""
    Team(host, directory=tmp_path, service="blog").start()

    token = host.token("team").encode()
    assert not [file for file in tmp_path.rglob("*") if file.is_file() and token in file.read_bytes()]


@pytest.mark.parametrize("where", ["/cart", "/checkout"])
@pytest.mark.parametrize("version", ["v1.0.0", "v1.1.0"])
def test_before_the_faulty_release_a_coupon_is_ignored(
    host: GitHost, bare: Path, db: Db, tmp_path: Path, version: str, where: str
) -> None:
    """A customer with a coupon pays the full price, and gets the goods."""
    handle = _installed(host, "shop", version, tmp_path, db)

    status, order = _buy(handle, db, where, "WELCOME10")

    assert (status, order["total_cents"]) == (201, 2980)


@pytest.mark.parametrize("where", ["/cart", "/checkout"])
def test_the_faulty_release_fails_at_the_checkout_of_a_coupon(
    host: GitHost, bare: Path, db: Db, tmp_path: Path, where: str
) -> None:
    """v1.2.0 raises where a percentage is to come off, and serves everybody else."""
    handle = _installed(host, "shop", "v1.2.0", tmp_path, db)

    assert _buy(handle, db, where, None)[0] == 201
    with pytest.raises(KeyError):
        _buy(handle, db, where, "WELCOME10")


@pytest.mark.parametrize(("coupon", "total"), [("WELCOME10", 2682), ("FIVER", 2480), (None, 2980)])
def test_the_healthy_service_takes_coupons(
    host: GitHost, bare: Path, db: Db, tmp_path: Path, coupon: str | None, total: int
) -> None:
    """The v1.2.0 of the service without the bug takes off what the coupon says."""
    handle = _installed(host, "search", "v1.2.0", tmp_path, db)

    status, order = _buy(handle, db, "/checkout", coupon)

    assert (status, order["total_cents"]) == (201, total)


def test_all_versions_work_on_one_database(host: GitHost, bare: Path, db: Db, tmp_path: Path) -> None:
    """No release changes a table: after v1.2.0's schema v1.0.0 sells on, and what was sold is counted."""
    newest = _installed(host, "shop", "v1.2.0", tmp_path, db)
    oldest = _installed(host, "shop", "v1.0.0", tmp_path, db)

    assert [_buy(handle, db, "/checkout", None)[0] for handle in (newest, oldest, newest)] == [201, 201, 201]
    row = db.execute("SELECT count(*), sum(total_cents) FROM orders").fetchone()
    stock = db.execute("SELECT stock FROM products WHERE sku = 'MUG-01'").fetchone()
    assert (row, stock) == ((3, 3 * 2980), (100_000 - 6,))
    assert git("diff", "--stat", "v1.0.0", "v1.2.0", "--", "schema.sql", at=bare) == ""


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/", {}, 200),
        ("GET", "/catalogue", {}, 200),
        ("GET", "/nowhere", {}, 404),
        ("POST", "/cart", {}, 400),
        ("POST", "/cart", {"customer": "ada", "sku": "MUG-01", "quantity": 0}, 400),
        ("POST", "/cart", {"customer": "ada", "sku": "NONE"}, 404),
        ("POST", "/cart", {"customer": "ada", "sku": "MUG-01", "coupon": "NONE"}, 422),
        ("POST", "/checkout", {}, 400),
        ("POST", "/checkout", {"customer": "nobody"}, 409),
    ],
)
def test_a_customers_mistake_is_answered_and_not_raised(
    host: GitHost, bare: Path, db: Db, tmp_path: Path, method: str, path: str, body: dict[str, Any], status: int
) -> None:
    """What is wrong with a request is told with a 4xx: only the bug counts as the service's failure."""
    handle = _installed(host, "shop", "v1.2.0", tmp_path, db)

    assert handle(method, path, body, db)[0] == status


def test_later_work_goes_on_top_of_what_others_pushed(host: GitHost, tmp_path: Path) -> None:
    """A commit after somebody else's push keeps it, and the next release brings develop's work to main."""
    team = Team(host, directory=tmp_path, service="forum")
    team.start()
    git(
        "clone", "--quiet", "--branch=main", host.clone_url("acme/forum"), "other", at=tmp_path, token=host.token("ada")
    )
    git("commit", "--quiet", "--allow-empty", "-m", "By hand", at=tmp_path / "other")
    git("push", "--quiet", "origin", "main", at=tmp_path / "other", token=host.token("ada"))

    on_main = team.commit_on("main", {"docs/hours.md": "always\n"}, "Say when we are there")
    on_develop = team.commit_on("develop", {"shop/tips.py": '"""Tips."""\n'}, "Begin with tips")
    team.release("v1.3.0")

    history = git("log", "--format=%s", "main", at=host.bare("acme/forum")).splitlines()
    assert "By hand" in history
    held = git("rev-list", "v1.3.0", at=host.bare("acme/forum")).split()
    assert {on_main, on_develop} <= set(held)
