"""Read from Prometheus what happened to a release.

Two counters are expected, both scraped at least once a step:

* `http_requests_total{service, version, code, ...}`, the service's own. `code` is the HTTP status, or `timeout`
  for a request that was never answered. 5xx is an error; 5xx and `timeout` have failed for the customer.
* `ripcord_probe_total{service, outcome, ...}`, ours (see `tasks/probes.py`); `outcome` is `ok`, `failed` or
  `unknown` for a try we could not make. The prober asks the service, not a version, so its tries count for
  whichever version is under watch.

More labels (route, pod, instance) are welcome: all series are summed. Each series is followed from the last
sample of one step to the last sample of the next; increase() would not see the first failures of a series, and
guesses at what lies between samples.
"""

import json
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import requests
from prefect import get_run_logger, task
from prometheus_api_client import PrometheusConnect
from prometheus_api_client.exceptions import PrometheusApiClientException
from urllib3.util.retry import Retry

from recovery.catalog import Service
from recovery.errors import Incomplete, Refused, Unavailable
from recovery.readings import Evidence, Point, Watch
from recovery.rollouts import Stage
from recovery.versions import prefix_of, release_of
from recovery.watching import recovered
from tasks.retry import ON_UNAVAILABLE, spoken
from tasks.settings import read_settings

ERROR = re.compile(r"5\d\d")
FAILED = re.compile(r"5\d\d|timeout")
MEMORY = "1h"  # how far back the last sample before a step is looked for; bridges a gap in scraping
RECENT_STEPS = 4  # without a breach of any limit, and customers are said to succeed again
SKEW_STEPS = 2  # so many steps may Prometheus' clock be off before its times mean nothing to us

# A counter that a target shows for the first time counts from zero, but one of a target that was never scraped
# before may be years old. A counter that was reset counts what came since.
KNOWN_TARGET = "{now} and on (job, instance) {then}"

# The monitor reads in every cycle and an outage must become a verdict quickly: one quick retry. Nothing is
# kept, because a reading that is repeated must look again.
READING = {**ON_UNAVAILABLE, "retries": 1, "persist_result": False}

Counts = dict[tuple[str, str], float]
"""What one step holds, by the values of two labels."""
Steps = dict[datetime, Counts]
"""Steps by their end; one without any sample is not there."""


@task(**READING)
def read_points(watch: Watch, now: datetime) -> tuple[Point, ...]:
    """Read the whole watch up to `now`, one point for each finished step that was scraped.

    A step in which the service was scraped but the version answered nothing is a point of zeros; a step without
    any sample has no point. What was counted during a gap is in the first point after it.

    Raises Unavailable when Prometheus does not answer, or its clock and ours disagree.
    """
    begin, end = _whole_second(watch.since), _whole_second(min(now, watch.until))
    # A series that appears counts from zero: the first failures of a version are in its first sample.
    return _read(watch, begin, end, appeared="{now}", version=watch.version)


@task(**READING)
def read_points_before(watch: Watch, length: timedelta) -> tuple[Point, ...]:
    """Read the time of this length before the watch, all versions of the service together.

    Raises Unavailable when Prometheus does not answer, or its clock and ours disagree.
    """
    end = _whole_second(watch.since)
    return _read(watch, end - length, end, appeared=KNOWN_TARGET, version=None)


def read_evidence(watch: Watch, window: timedelta, now: datetime) -> Evidence:
    """Read the watch and the window before it, trying twice.

    A Prometheus that does not answer is evidence of nothing, and the answer says so.
    """
    trouble = ""
    for _ in range(2):
        try:
            return Evidence(read_points.fn(watch, now), read_points_before.fn(watch, window))
        except Unavailable as error:
            trouble = str(error)
    return Evidence((), (), trouble)


@task(name="read harm", **{**ON_UNAVAILABLE, "retries": 1})
def read_harm(watch: Watch | None, now: datetime) -> tuple[Point, ...]:
    """Read what a version's customers felt, for the report; nothing where nothing can be read."""
    try:
        return read_points.fn(watch, now) if watch else ()
    except Unavailable as error:
        get_run_logger().warning(f"the report has no figures: {error}")
        return ()


@task(name="wait until recovered", task_run_name="wait until customers of {service.name} succeed", **ON_UNAVAILABLE)
@spoken
def wait_until_recovered(service: Service) -> str:
    """Wait until the newest points of the service, all versions together, are within the limits again.

    Where nothing can be seen the answer says so: blindness does not undo a recovery. Raises Incomplete when
    customers still fail after the service's settling time.
    """
    deadline = time.monotonic() + service.settle.total_seconds()
    unseen = 0
    while True:
        now = datetime.now(UTC)
        newest = Watch(service.name, "", now, now + service.step, service.step)
        try:
            state = recovered(read_points_before.fn(newest, RECENT_STEPS * service.step), service.limits)
        except Unavailable as error:
            return f"the recovery could not be seen by its metrics: {error}"
        if state is None:
            unseen += 1
            if unseen > RECENT_STEPS:
                return f"no request to {service.name} was seen: its recovery cannot be confirmed by metrics"
        elif state.stage is Stage.SETTLED:
            return state.reason
        elif time.monotonic() > deadline:
            raise Incomplete(f"{service.name} still hurts its customers: {state.reason}; a person must look")
        time.sleep(service.step.total_seconds())


def _read(watch: Watch, begin: datetime, end: datetime, appeared: str, version: str | None) -> tuple[Point, ...]:
    if end < begin + watch.step:
        return ()
    of = f"{{service={_quoted(watch.service)}}}"
    answers = _increase(f"http_requests_total{of}", watch.step, appeared, ("version", "code"))
    tries = _increase(f"ripcord_probe_total{of}", watch.step, KNOWN_TARGET, ("service", "outcome"))
    with _prometheus(watch.step) as prometheus:
        answered = _ask(prometheus, answers, ("version", "code"), begin + watch.step, end, watch.step)
        tried = _ask(prometheus, tries, ("service", "outcome"), begin + watch.step, end, watch.step)
    return tuple(_point(at, answered.get(at), tried.get(at), version) for at in sorted(answered.keys() | tried.keys()))


def _increase(series: str, step: timedelta, appeared: str, by: tuple[str, str]) -> str:
    """The PromQL for how much all these series grew in a step.

    last_over_time() reads raw samples: a step without any has no answer, and a gap before it does no harm. What
    is left of the minus sign's filter is a series that appeared, or a counter that was reset.
    """
    span = f"{step // timedelta(milliseconds=1)}ms"
    now = f"last_over_time({series}[{span}])"
    then = f"last_over_time({series}[{MEMORY}] offset {span})"
    return f"sum by ({', '.join(by)}) (({now} - {then} >= 0) or ({appeared.format(now=now, then=then)}))"


def _ask(
    prometheus: PrometheusConnect,
    query: str,
    labels: tuple[str, str],
    first: datetime,
    last: datetime,
    step: timedelta,
) -> Steps:
    rows = prometheus.custom_query_range(query, first, last, step=f"{step.total_seconds():g}")
    steps: Steps = {}
    for row in rows:
        values = (row["metric"].get(labels[0], ""), row["metric"].get(labels[1], ""))
        for seconds, number in row["values"]:
            steps.setdefault(datetime.fromtimestamp(seconds, UTC), {})[values] = float(number)
    return steps


def _point(at: datetime, answered: Counts | None, tried: Counts | None, version: str | None) -> Point:
    """One step; `version` None counts the answers of all versions. Sums keep NaN, which blinds the judgement."""
    answers = [(code, number) for (of, code), number in (answered or {}).items() if _is_of(version, of)]
    tries = {outcome: number for (_, outcome), number in (tried or {}).items()}
    made = sum(number for outcome, number in tries.items() if outcome != "unknown")
    return Point(
        at=at,
        requests=sum(number for _, number in answers),
        errors=sum(number for code, number in answers if ERROR.fullmatch(code)),
        failed=sum(number for code, number in answers if FAILED.fullmatch(code)),
        probes=made,
        probes_failed=tries.get("failed", 0.0),
        requests_known=answered is not None,
        # A step whose tries could all not be made is silence, not calm.
        probes_known=tried is not None and not (tries.get("unknown") and not made),
    )


def _is_of(version: str | None, label: str) -> bool:
    """Answer whether a label names the version; a service often knows itself by its image's tag alone."""
    return version is None or release_of(label, prefix_of(version)) == version


@contextmanager
def _prometheus(step: timedelta) -> Iterator[PrometheusConnect]:
    """Prometheus, its clock compared to ours. Raises Unavailable for whatever is wrong with its answers."""
    settings = read_settings()
    url, seconds = settings.prometheus_url.rstrip("/"), settings.request_timeout
    try:
        # The library's own retries would hide an outage for most of a minute; read=False tells a timeout as one.
        with PrometheusConnect(url, retry=Retry(total=0, read=False), timeout=seconds) as prometheus:
            _compare_clocks(prometheus, SKEW_STEPS * step)
            yield prometheus
    except (requests.RequestException, PrometheusApiClientException, LookupError, TypeError, ValueError) as error:
        # Without the user and password that an address may hold, and without the library's error, which has it.
        place = url.rsplit("@", 1)[-1].removeprefix("http://").removeprefix("https://")
        raise Unavailable(f"prometheus at {place}: {_cause(error, seconds)}; nothing was read") from None


def _compare_clocks(prometheus: PrometheusConnect, tolerance: timedelta) -> None:
    """Raise Unavailable when Prometheus' clock is so far from ours that its times mean something else.

    A clock that is ahead would go unnoticed otherwise: old points would pass for fresh ones.
    """
    earliest = datetime.now(UTC)
    theirs = datetime.fromtimestamp(float(prometheus.custom_query("time()")[1]), UTC)
    latest = datetime.now(UTC)
    skew = max(theirs - latest, earliest - theirs)
    if skew > tolerance:
        way = "ahead of" if theirs > latest else "behind"
        raise Unavailable(
            f"prometheus' clock is {skew.total_seconds():.0f}s {way} ours, at most"
            f" {tolerance.total_seconds():.0f}s is accepted: set the clocks right; nothing was read"
        )


def _cause(error: Exception, seconds: float) -> str:
    if isinstance(error, requests.Timeout):
        return f"no answer within {seconds:g}s"
    if isinstance(error, requests.JSONDecodeError):
        return "the answer is not JSON"
    if isinstance(error, requests.ConnectionError):
        return "no connection"
    if isinstance(error, PrometheusApiClientException):
        return str(error)[:300]
    return f"the answer is not what Prometheus gives ({type(error).__name__})"


def _quoted(text: str) -> str:
    """A PromQL string that holds exactly this text, whatever is in it."""
    return json.dumps(text, ensure_ascii=False)


def _whole_second(moment: datetime) -> datetime:
    """Steps begin at whole seconds, for the client rounds what it asks for."""
    return moment.replace(microsecond=0)


def check_prometheus(service: Service) -> str:
    """Look whether the service's counters are there; says what was seen.

    Raises Refused when they are not, Unavailable when Prometheus does not answer.
    """
    query = f"count by (version) (http_requests_total{{service={_quoted(service.name)}}})"
    with _prometheus(service.step) as prometheus:
        rows = prometheus.custom_query(query)
    if not rows:
        raise Refused(
            f"Prometheus has no http_requests_total with service={service.name!r}: "
            "export it with the labels service, version and code, or every watch will be blind"
        )
    versions = ", ".join(sorted(row["metric"].get("version", "none") for row in rows))
    return f"http_requests_total is there for {versions}"
