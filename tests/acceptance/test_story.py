"""The story of a faulty release, on real servers, told in the plan's words."""

import re
from pathlib import Path

import pytest

from infra.lab.process import wait_until
from infra.lab.world import World
from tests.acceptance.oracles import assert_restored_once, git, refs, revisions, standing, told

STORY = ("shop", "search")


@pytest.fixture(name="certified", scope="module")
def _certified(lab: World) -> World:
    """Both services have released v1.1.0, were watched, and are certified."""
    for service in STORY:
        lab.teams[service].release("v1.1.0")
    for service in STORY:
        lab.pipeline.wait_for(f"acme/{service}", "v1.1.0")
    for service in STORY:
        wait_until(
            lambda name=service: standing(lab, name, "v1.1.0") == "healthy",  # type: ignore[misc]
            what=f"certificate of {service}",
            seconds=240,
            every=1,
        )
    return lab


@pytest.fixture(name="recovered", scope="module")
def _recovered(certified: World) -> World:
    """Both have released v1.2.0; the shop's was taken back."""
    lab = certified
    for service in STORY:
        lab.teams[service].release("v1.2.0")
    for service in STORY:
        lab.pipeline.wait_for(f"acme/{service}", "v1.2.0")
    lab.wait_for_run("respond", "respond shop v1.2.0", ("COMPLETED", "FAILED", "CRASHED"), 300)
    return lab


def responses(lab: World) -> list[tuple[str, str]]:
    """The recoveries of the story's two services, and how they stand."""
    runs = [(run["name"], run["state_type"]) for run in lab.runs("respond")]
    return [(name, state) for name, state in runs if name.split()[1] in STORY]


def test_a_healthy_release_is_certified_and_nothing_is_reverted(certified: World) -> None:
    """v1.1.0 of both services carries its certificate, and no recovery has run."""
    assert responses(certified) == []
    assert [standing(certified, service, "v1.1.0") for service in STORY] == ["healthy", "healthy"]


def test_the_faulty_release_is_taken_back_exactly_once(recovered: World, tmp_path: Path) -> None:
    """Cluster, source, tag, Release, post-mortem and message agree, each there once."""
    assert responses(recovered) == [("respond shop v1.2.0", "COMPLETED")]
    assert_restored_once(recovered, "shop", tmp_path)
    assert standing(recovered, "shop", "v1.2.0") == "faulty"


def test_customers_stopped_failing_within_90_seconds(recovered: World) -> None:
    """By the customers' own count no other version answered with a failure, and all of it was over in 90 s."""
    everything, counted = (recovered.customers["shop"].count(version) for version in (None, "v1.2.0"))

    assert everything.failed_by_version.keys() - {"none"} == {"v1.2.0"}
    # A machine that stands still for two seconds lets requests time out, of which no version knows.
    assert everything.failed - counted.failed <= everything.requests / 100
    assert counted.first_failure is not None
    assert counted.last_failure is not None
    assert (counted.last_failure - counted.first_failure).total_seconds() < 90


def test_the_shop_still_sells_and_prometheus_sees_no_error(recovered: World) -> None:
    """Orders go on being stored in PostgreSQL, and v1.2.1 has answered no 5xx."""
    import psycopg

    def orders() -> int:
        with psycopg.connect(recovered.postgres.dsn("shop")) as database:
            row = database.execute("SELECT count(*) FROM orders").fetchone()
        return int(row[0]) if row else 0

    before = orders()
    wait_until(lambda: orders() > before + 5, what="five more orders", seconds=60, every=0.5)
    answered = recovered.prometheus.query('sum(http_requests_total{service="shop",version="v1.2.1"})')
    errors = recovered.prometheus.query('sum(http_requests_total{service="shop",version="v1.2.1",code=~"5.."})')
    assert float(answered[0]["value"][1]) > 0
    assert errors == [] or float(errors[0]["value"][1]) == 0


def test_the_revert_commit_reads_as_a_colleague_wrote_it(recovered: World) -> None:
    """Its message says what went and why, with trailers that plain git can read."""
    bare = recovered.host.bare("acme/shop")

    subject = git(bare, "log", "-1", "--format=%s", "main")
    trailers = git(bare, "log", "-1", "--format=%(trailers:only)", "main")

    assert subject == "Revert release v1.2.0"
    assert f"Reverts-Release: v1.2.0 {git(bare, 'rev-parse', 'v1.2.0^{commit}')}" in trailers
    assert f"Restores-Release: v1.1.0 {git(bare, 'rev-parse', 'v1.1.0^{commit}')}" in trailers


def test_the_post_mortem_tells_times_that_the_world_confirms(recovered: World) -> None:
    """It names the first failed request within a step of the customers' own count."""
    from datetime import UTC, datetime

    text = (recovered.directory / "archive" / "post-mortems" / "shop" / "v1.2.0.md").read_text()
    row = re.search(r"\| (\d\S+ \S+) \| \+[^|]* \| first failed request \|", text)

    assert row is not None
    first = datetime.strptime(row[1], "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
    counted = recovered.customers["shop"].count("v1.2.0").first_failure
    assert counted is not None
    assert abs((first - counted).total_seconds()) <= 7
    assert "Root cause analysis" in text


def test_the_healthy_release_beside_it_was_never_touched(recovered: World) -> None:
    """search v1.2.0 is certified after its window; no ref of search but the team's own changed."""
    before = refs(recovered, "search")
    wait_until(
        lambda: standing(recovered, "search", "v1.2.0") == "healthy", what="its certificate", seconds=240, every=1
    )

    assert refs(recovered, "search") == before
    assert "v1.2.1" not in before
    assert recovered.version_served("search") == "v1.2.0"
    assert "deployment.kubernetes.io/revision-history" not in revisions(recovered, "search")["v1.1.0"]
    assert told(recovered, "search v1.2.0") == []
