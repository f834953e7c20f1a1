"""Reading a release's points from a real Prometheus, held against what was fed and against its raw samples."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from math import ceil, isnan

import pytest

from infra.lab.prometheus import Prometheus, prometheus
from recovery.catalog import Limits
from recovery.errors import Unavailable
from recovery.readings import Point, Watch
from recovery.triggers import judge
from recovery.verdicts import Answer
from tasks.prometheus import read_points, read_points_before
from tests.integration.exporter import Exporter, answering, exporter, wait_for_scrapes

REQUESTS, PROBES = "http_requests_total", "ripcord_probe_total"
EVIL = 'shop"} or vector(1)\n# \\'
STEP = timedelta(seconds=2)
JOBS = ("pod_a", "pod_b", "gap", "reset", "twice", "other", "receiver")


@dataclass
class Story:
    """What was fed to Prometheus in the half minute that these tests read."""

    server: Prometheus
    watch: Watch
    now: datetime
    gap: tuple[datetime, datetime]

    def read(self, service: str = "shop") -> tuple[Point, ...]:
        return read_points.fn(replace(self.watch, service=service), self.now)

    def read_before(self, service: str = "shop") -> tuple[Point, ...]:
        return read_points_before.fn(replace(self.watch, service=service), timedelta(seconds=30))

    def raw(self, selector: str) -> list[list[tuple[float, float]]]:
        """The raw samples of each series, from the plain API."""
        rows = self.server.query(f"{selector}[10m]")
        return [[(float(seconds), float(text)) for seconds, text in row["values"]] for row in rows]


@pytest.fixture(scope="module", name="story")
def _story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    with ExitStack() as stack:
        jobs = {name: stack.enter_context(exporter()) for name in JOBS}
        targets = {name: each.address for name, each in jobs.items()} | {"twice_again": jobs["twice"].address}
        _begin(jobs)
        server = stack.enter_context(prometheus(tmp_path_factory.mktemp("prometheus"), targets, None))
        _before(jobs)
        since = datetime.now(UTC)
        gap = _after(jobs)
        watch = Watch("shop", "v1.2.0", since, since + timedelta(hours=1), STEP)
        yield Story(server, watch, datetime.now(UTC), gap)


@pytest.fixture(autouse=True)
def _settings(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    if "story" in request.fixturenames:
        story: Story = request.getfixturevalue("story")
        monkeypatch.setenv("RIPCORD_PROMETHEUS_URL", story.server.url)


def _begin(jobs: dict[str, Exporter]) -> None:
    """A service that has run for long before Prometheus saw it."""
    for pod in (jobs["pod_a"], jobs["pod_b"]):
        pod.add(REQUESTS, 1_000_000, service="shop", version="v1.1.0", route="/", code="200")
        pod.add(REQUESTS, 5_000, service="shop", version="v1.1.0", route="/", code="500")
    jobs["other"].add(REQUESTS, 700, service="quiet", version="v1.1.0", code="200")
    jobs["receiver"].add(PROBES, 9_000, service="shop", probe="checkout", outcome="ok")
    jobs["receiver"].add(PROBES, 4_000, service="shop", probe="checkout", outcome="failed")


def _before(jobs: dict[str, Exporter]) -> None:
    """The old version, before the release: 300 requests, 9 of them 5xx and 4 timeouts; 20 probes, 1 failed."""
    wait_for_scrapes(jobs.values())
    jobs["pod_a"].add(REQUESTS, 200, service="shop", version="v1.1.0", route="/", code="200")
    jobs["pod_a"].add(REQUESTS, 3, service="shop", version="v1.1.0", route="/", code="500")
    jobs["pod_b"].add(REQUESTS, 87, service="shop", version="v1.1.0", route="/", code="200")
    jobs["pod_b"].add(REQUESTS, 6, service="shop", version="v1.1.0", route="/cart", code="502")
    jobs["pod_b"].add(REQUESTS, 4, service="shop", version="v1.1.0", route="/cart", code="timeout")
    jobs["receiver"].add(PROBES, 19, service="shop", probe="checkout", outcome="ok")
    jobs["receiver"].add(PROBES, 1, service="shop", probe="checkout", outcome="failed")
    wait_for_scrapes(jobs.values(), 3)


def _after(jobs: dict[str, Exporter]) -> tuple[datetime, datetime]:
    """The new version; returns when the job `gap` went down and when it came back."""
    pod_a, pod_b = jobs["pod_a"], jobs["pod_b"]
    # The first sample of v1.2.0 already holds failures.
    pod_a.add(REQUESTS, 40, service="shop", version="v1.2.0", route="/", code="200")
    pod_a.add(REQUESTS, 7, service="shop", version="v1.2.0", route="/", code="500")
    pod_a.add(REQUESTS, 999, service="shop", version="v1.1.0", route="/", code="500")
    jobs["gap"].add(REQUESTS, 100, service="gap", version="v1.2.0", code="200")
    jobs["reset"].add(REQUESTS, 500, service="reset", version="v1.2.0", code="200")
    jobs["twice"].add(REQUESTS, 21, service="twice", version="v1.2.0", code="200")
    jobs["other"].add(REQUESTS, 6, service=EVIL, version="v1.2.0", code="200")
    jobs["other"].add(REQUESTS, 1, service=EVIL, version="v1.2.0", code="503")
    jobs["receiver"].add(PROBES, 8, service="shop", probe="checkout", outcome="ok")
    jobs["receiver"].add(PROBES, 2, service="shop", probe="checkout", outcome="failed")
    wait_for_scrapes(jobs.values(), 3)

    jobs["gap"].down, down = True, datetime.now(UTC)
    jobs["gap"].add(REQUESTS, 30, service="gap", version="v1.2.0", code="200")
    jobs["gap"].add(REQUESTS, 4, service="gap", version="v1.2.0", code="500")
    jobs["reset"].put(REQUESTS, 11, service="reset", version="v1.2.0", code="200")
    pod_b.add(REQUESTS, 60, service="shop", version="v1.2.0", route="/", code="200")
    pod_b.add(REQUESTS, 3, service="shop", version="v1.2.0", route="/cart", code="timeout")
    pod_b.add(REQUESTS, 5, service="shop", version="v1.2.0", route="/cart", code="404")
    pod_a.add(REQUESTS, 2, service="shop", version="v1.2.0", route="/", code="500")
    jobs["receiver"].add(PROBES, 3, service="shop", probe="checkout", outcome="unknown")
    wait_for_scrapes([jobs["gap"]], 8)

    jobs["gap"].down, up = False, datetime.now(UTC)
    jobs["other"].put(REQUESTS, float("nan"), service="broken", version="v1.2.0", code="200")
    wait_for_scrapes(jobs.values(), 4)
    return down, up


def _sums(points: Sequence[Point]) -> tuple[float, float, float]:
    """Requests, errors and failures of all points together."""
    return sum(p.requests for p in points), sum(p.errors for p in points), sum(p.failed for p in points)


def test_everything_that_was_fed_is_read_from_the_first_failure_on(story: Story) -> None:
    """All series of the version over all pods and routes; 404 is an answer, a timeout no 5xx; nothing of v1.1.0."""
    points = story.read()

    assert _sums(points) == (40 + 7 + 60 + 3 + 5 + 2, 9, 12)
    assert (sum(each.probes for each in points), sum(each.probes_failed for each in points)) == (10, 2)


def test_each_point_is_what_the_raw_samples_say(story: Story) -> None:
    """Step by step, the growth between the last raw samples, computed here from the plain API."""
    points = story.read()
    begin = int(story.watch.since.timestamp())

    expected: dict[int, float] = {}
    for samples in story.raw('http_requests_total{service="shop",version="v1.2.0"}'):
        counted = 0.0
        for seconds, value in samples:
            step = ceil((seconds - begin) / STEP.total_seconds())
            expected[step] = expected.get(step, 0) + value - counted
            counted = value

    read = {round((each.at.timestamp() - begin) / STEP.total_seconds()): each.requests for each in points}
    assert {step: count for step, count in read.items() if count} == {
        step: count for step, count in expected.items() if count and step in read
    }
    assert max(expected) - max(read) <= 1  # a step that is not over yet is not read
    assert len(read) == max(read)


def test_before_the_release_all_versions_count_and_no_past_life(story: Story) -> None:
    """The million requests that an unknown target shows at first are not of the last half minute."""
    points = story.read_before()

    assert _sums(points) == (300, 9, 13)
    assert (sum(each.probes for each in points), sum(each.probes_failed for each in points)) == (20, 1)
    assert all(each.at <= story.watch.since for each in points)


def test_a_scrape_gap_is_missing_points_and_loses_nothing(story: Story) -> None:
    """While nobody scraped there is no point, and what was counted meanwhile is in the first one after."""
    points = story.read("gap")
    down, up = story.gap

    silent = [each for each in points if down + 2 * STEP <= each.at <= up]
    assert silent == []
    after = [each for each in points if each.at > up]
    assert _sums(after) == (34, 4, 4)
    assert after[0].requests == 34
    assert _sums(points) == (134, 4, 4)


def test_a_counter_that_was_reset_counts_what_came_since(story: Story) -> None:
    """A restart of the process makes neither a negative count nor a second life."""
    points = story.read("reset")

    assert _sums(points) == (511, 0, 0)
    assert min(each.requests for each in points) == 0


def test_series_that_are_scraped_twice_are_summed(story: Story) -> None:
    """Two jobs on one target double all counts, the failures like the successes."""
    assert _sums(story.read("twice")) == (42, 0, 0)


def test_a_version_without_traffic_is_zeros_where_its_service_was_scraped(story: Story) -> None:
    """That nobody asked the new version is seen, and is not the same as not looking."""
    points = story.read("quiet")

    assert len(points) >= 5
    assert _sums(points) == (0, 0, 0)
    assert all(each.requests_known and not each.probes_known for each in points)


def test_a_service_that_nobody_scrapes_has_no_points(story: Story) -> None:
    """And is judged blind."""
    points = story.read("nobody")

    assert points == ()
    late = story.watch.since + timedelta(minutes=2)
    assert judge(story.watch, points, story.read_before("nobody"), Limits(), late).answer is Answer.BLIND


def test_a_step_of_tries_that_could_not_be_made_is_not_known(story: Story) -> None:
    """Probes that our own machine could not send are silence, not calm."""
    points = story.read()

    assert any(not each.probes_known for each in points)
    assert all(each.probes_known for each in points if each.probes)


def test_a_name_cannot_change_the_question(story: Story) -> None:
    """Quotes, braces, newlines and backslashes in a name are part of the name."""
    assert _sums(story.read(EVIL)) == (7, 1, 1)
    assert story.read('nobody"} or http_requests_total{service!="') == ()


def test_nonsense_arrives_as_nonsense_and_blinds(story: Story) -> None:
    """A counter that is not a number is not made zero on the way."""
    points = story.read("broken")

    assert any(isnan(each.requests) for each in points)
    assert judge(story.watch, points, (), Limits(), points[-1].at).answer is Answer.BLIND


def test_a_prometheus_that_dies_is_unavailable_and_forgets_nothing(story: Story) -> None:
    """Killed, that is told at once; back again, it has the same points as before."""
    seen = story.read()
    story.server.process.kill()
    with pytest.raises(Unavailable, match=r"prometheus at 127\.0\.0\.1:\d+: no connection; nothing was read"):
        story.read()

    story.server.restart()

    again = story.read()
    assert again[: len(seen) - 1] == seen[:-1]


class TestTrouble:
    """A Prometheus that cannot be trusted or reached, by hand-made answers."""

    def ask(self, monkeypatch: pytest.MonkeyPatch, url: str) -> tuple[Point, ...]:
        monkeypatch.setenv("RIPCORD_PROMETHEUS_URL", url)
        monkeypatch.setenv("RIPCORD_REQUEST_TIMEOUT", "0.5")
        now = datetime.now(UTC)
        return read_points.fn(Watch("shop", "v1.2.0", now - timedelta(minutes=5), now, STEP), now)

    @pytest.mark.parametrize(
        ("answer", "message"),
        [
            ((200, b"<html>sign in</html>"), "the answer is not JSON"),
            ((200, b'{"status": "success"}'), "the answer is not what Prometheus gives"),
            ((200, b'{"status": "success", "data": {"result": []}}'), "the answer is not what Prometheus gives"),
            ((200, b"[]"), "the answer is not what Prometheus gives"),
            ((503, b"Service Unavailable"), "HTTP Status Code 503"),
            ((401, b"who are you?"), "HTTP Status Code 401"),
            (None, "no answer within 0.5s"),
        ],
    )
    def test_an_answer_that_is_none(
        self, monkeypatch: pytest.MonkeyPatch, answer: tuple[int, bytes] | None, message: str
    ) -> None:
        """Every kind of wrong answer is Unavailable, and says which."""
        with answering(answer) as url, pytest.raises(Unavailable, match=message):
            self.ask(monkeypatch, url)

    @pytest.mark.parametrize(("seconds", "way"), [(300, "ahead of"), (-300, "behind")])
    def test_clocks_that_disagree(self, monkeypatch: pytest.MonkeyPatch, seconds: int, way: str) -> None:
        """Five minutes off, fresh points look old or old ones fresh: nothing is read."""
        theirs = datetime.now(UTC).timestamp() + seconds
        body = f'{{"status": "success", "data": {{"resultType": "scalar", "result": [{theirs}, "{theirs}"]}}}}'
        with (
            answering((200, body.encode())) as url,
            pytest.raises(Unavailable, match=f"prometheus' clock is (299|300|301)s {way} ours, at most 4s"),
        ):
            self.ask(monkeypatch, url)

    def test_the_password_of_its_address_is_not_told(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Neither the message nor what caused it holds the secret."""
        with answering(None) as url, pytest.raises(Unavailable) as refused:
            self.ask(monkeypatch, url.replace("//", "//reader:hunter2@"))

        assert "hunter2" not in str(refused.value)
        assert refused.value.__cause__ is None
        assert refused.value.__suppress_context__

    def test_an_outage_is_retried_once_and_nothing_is_kept(self) -> None:
        """The monitor asks every cycle: a long patience would hide the outage from it."""
        for reading in (read_points, read_points_before):
            assert reading.retries == 1
            assert reading.persist_result is False
