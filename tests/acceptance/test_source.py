"""The source by other ways than a push: through a pull request, and by a hotfix that a person agrees to."""

from pathlib import Path
from typing import Any

import psycopg
import pytest

from infra.lab.process import wait_until
from infra.lab.team import Team
from infra.lab.world import World
from tasks.fence import lock_key
from tests.acceptance.incidents import answer, call, deploy, prepare
from tests.acceptance.oracles import assert_restored_once, fresh_clone, git, pulls, releases, standing, told

MIGRATION = {"migrations/0002_coupons.sql": "ALTER TABLE carts RENAME COLUMN sku TO article;\n"}


def test_a_protected_main_gets_the_revert_by_a_pull_request(lab: World, tmp_path: Path) -> None:
    """The cluster does not wait for its checks; when they are green it is merged, tagged, deployed and proved."""
    service = lab.quiet[8]
    prepare(lab, service)
    lab.host.protect(f"acme/{service}", "main", required_checks=("test",), ruleset=True)

    call(lab, service)
    wait_until(lambda: pulls(lab, service, "revert/v1.2.0"), what="the pull request", seconds=90, every=0.5)
    assert lab.version_served(service) == "v1.1.0"
    assert git(lab.host.bare(f"acme/{service}"), "tag", "--list", "v1.2.1") == ""
    assert locked(lab, service) == {f"{service}, source"}, "the next incident's cluster must not wait for the source"
    lab.host.set_check(f"acme/{service}", "refs/heads/revert/v1.2.0", "test")

    run = lab.wait_for_run("respond", f"respond {service} v1.2.0", ("COMPLETED", "FAILED"), 180)
    assert run["state_type"] == "COMPLETED", run["state"]
    (pull,) = pulls(lab, service, "revert/v1.2.0")
    assert pull["merged_at"] is not None
    clone = fresh_clone(lab, service, tmp_path / "seen")
    assert git(clone, "rev-list", "--first-parent", "v1.2.0..origin/main") == git(clone, "rev-parse", "v1.2.1^{commit}")
    assert git(clone, "rev-parse", "v1.2.1^{tree}") == git(clone, "rev-parse", "v1.1.0^{tree}")
    assert lab.version_served(service) == "v1.2.1"


def locked(lab: World, service: str) -> set[str]:
    """Which of a service's locks somebody holds, as PostgreSQL says."""
    names = (service, f"{service}, source", f"{service}, way back")
    with psycopg.connect(lab.postgres.dsn("ripcord"), autocommit=True) as connection:
        tried = [(name, connection.execute("SELECT pg_try_advisory_lock(%s)", (lock_key(name),))) for name in names]
        return {name for name, answer in tried if answer.fetchone() == (False,)}


@pytest.fixture(name="waiting", scope="module")
def _waiting(lab: World) -> tuple[str, dict[str, Any]]:
    """A service whose v1.2.0 brought a migration, called about, and the hotfix run that waits for a person."""
    service = lab.quiet[9]
    team = Team(lab.host, directory=lab.directory / "team", service=service)
    team.start()
    deploy(lab, service, "v1.0.0")
    team.release("v1.1.0")
    deploy(lab, service, "v1.1.0")
    team.commit_on("develop", MIGRATION, "Keep the coupon with the cart")
    team.release("v1.2.0")
    deploy(lab, service, "v1.2.0")

    call(lab, service)
    answered = lab.wait_for_run("respond", f"respond {service} v1.2.0", ("COMPLETED", "FAILED"), 120)
    assert answered["state_type"] == "COMPLETED", answered["state"]
    return service, lab.wait_for_run("hotfix", f"hotfix {service} v1.2.0", ("PAUSED", "FAILED"), 120)


def test_a_migration_in_between_makes_it_a_hotfix_that_waits(lab: World, waiting: tuple[str, dict[str, Any]]) -> None:
    """The cluster is back, main is untouched, a draft pull request is open, and a person is asked, once."""
    service, run = waiting
    bare = lab.host.bare(f"acme/{service}")

    assert run["state_type"] == "PAUSED", run["state"]
    assert lab.version_served(service) == "v1.1.0"
    assert git(bare, "rev-parse", "main") == git(bare, "rev-parse", "v1.2.0^{commit}")
    (pull,) = pulls(lab, service, "hotfix/v1.2.1")
    assert pull["draft"]
    assert "migrations/0002_coupons.sql" in pull["body"]
    assert len(told(lab, f"{service}: hotfix v1.2.1 waits for a person")) == 1


def test_a_persons_yes_ships_it(lab: World, waiting: tuple[str, dict[str, Any]], tmp_path: Path) -> None:
    """All of ripcord was restarted meanwhile; the form's answer resumes the run, and the migration stays."""
    service, run = waiting
    lab.receiver.restart()
    lab.worker.restart()
    answer(lab, run, answer="take the proposal")

    ended = lab.wait_for_run("hotfix", f"hotfix {service} v1.2.0", ("COMPLETED", "FAILED"), 180)
    assert ended["state_type"] == "COMPLETED", ended["state"]
    clone = fresh_clone(lab, service, tmp_path)
    assert git(clone, "show", "v1.2.1:migrations/0002_coupons.sql") == MIGRATION["migrations/0002_coupons.sql"].strip()
    assert "shop/checkout.py" not in git(clone, "diff", "--name-only", "v1.1.0", "v1.2.1")
    assert git(clone, "log", "--oneline", "origin/develop..origin/main") == ""
    assert releases(lab, service).count("v1.2.1") == 1
    assert standing(lab, service, "v1.2.0") == "faulty"
    assert lab.version_served(service) == "v1.2.1"
    assert len(told(lab, f"{service} is restored by v1.2.1, a hotfix of v1.2.0")) == 1


def test_the_cluster_does_not_wait_for_a_git_host_that_is_down(lab: World, tmp_path: Path) -> None:
    """It is taken back at once; Git's part waits, and goes on when the host is there again."""
    service = lab.quiet[11]
    prepare(lab, service)
    lab.host.stop()
    try:
        call(lab, service)
        wait_until(lambda: lab.version_served(service) == "v1.1.0", what="the undo", seconds=60, every=0.2)
        name = f"respond {service} v1.2.0"
        assert lab.wait_for_run("respond", name, ("RUNNING", "FAILED"), 30)["state_type"] == "RUNNING"
    finally:
        lab.host.start()

    run = lab.wait_for_run("respond", f"respond {service} v1.2.0", ("COMPLETED", "FAILED"), 180)
    assert run["state_type"] == "COMPLETED", run["state"]
    assert_restored_once(lab, service, tmp_path)
