"""The smaller judgements: alarms, revivals, what follows from a verdict, the answer, the catalogue."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from recovery.alarms import read_alertmanager
from recovery.catalog import Limits, Service, parse_catalogue
from recovery.errors import Incomplete, Refused
from recovery.incidents import Cause, Mode, incident_key
from recovery.readings import Point, Watch
from recovery.responses import plan_response
from recovery.revivals import ATTEMPTS, RunState, plan_revivals
from recovery.rollouts import Revision, Rollout, Stage
from recovery.verdicts import Answer, Verdict
from recovery.watching import Deed, follow, recovered

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
CATALOGUE = parse_catalogue("services: [{name: shop, namespace: acme, repository: acme/shop}]")
WATCH = Watch("shop", "v1.2.0", NOW - timedelta(minutes=10), NOW + timedelta(minutes=50))


def group(**changes: Any) -> dict[str, Any]:
    """A payload of one alert."""
    alert: dict[str, Any] = {
        "status": "firing", "startsAt": "2026-01-01T11:59:00Z", "annotations": {"description": "31 of 100 failed"},
        "labels": {"alertname": "CheckoutFailing", "service": "shop", "version": "v1.2.0", "ripcord": "respond"},
    }  # fmt: skip
    return {"version": "4", "alerts": [alert | changes], "groupKey": "{}", "truncatedAlerts": 0}


def labels(**changes: str | None) -> dict[str, str]:
    """The alert's labels, changed."""
    made = group()["alerts"][0]["labels"] | changes
    return {key: value for key, value in made.items() if value is not None}


def test_a_firing_alert_is_an_alarm_with_its_sentence() -> None:
    """Service, version, and what was seen when."""
    alarms, passed = read_alertmanager(group(), CATALOGUE)

    assert [(each.service, each.version, each.cause.sentence) for each in alarms] == [
        ("shop", "v1.2.0", "CheckoutFailing: 31 of 100 failed")
    ]
    assert passed == []


@pytest.mark.parametrize(
    "changes", [{"status": "resolved"}, {"labels": labels(ripcord=None)}, {"labels": labels(version=None)}]
)
def test_what_asks_for_nothing_is_passed_over_and_said(changes: dict[str, Any]) -> None:
    """Resolved, not ours, or of no version."""
    alarms, passed = read_alertmanager(group(**changes), CATALOGUE)

    assert alarms == []
    assert len(passed) == 1


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"labels": labels(service="nope")}, "no service 'nope'"),
        ({"labels": labels(version="$(id)")}, "not a release tag"),
        ({"startsAt": "2026-01-01T11:59:00"}, "no time zone"),
    ],
)
def test_an_alarm_that_cannot_be_understood_is_refused(changes: dict[str, Any], words: str) -> None:
    """With a sentence for the sender's log."""
    with pytest.raises(Refused, match=words.replace("$", r"\$").replace("(", r"\(")):
        read_alertmanager(group(**changes), CATALOGUE)


def run(state: str, seconds: float, attempts: int = 1) -> RunState:
    """A run that has been in a state for so long."""
    return RunState("id", "respond shop v1.2.0", state, NOW - timedelta(seconds=seconds), attempts)


@pytest.mark.parametrize(
    ("state", "seconds", "found"),
    [("RUNNING", 9, 0), ("RUNNING", 10, 1), ("PENDING", 29, 0), ("PENDING", 30, 1), ("CRASHED", 0, 1),
     ("SCHEDULED", 900, 0), ("COMPLETED", 900, 0)],
)  # fmt: skip
def test_the_dead_are_those_that_are_silent_for_too_long(state: str, seconds: float, found: int) -> None:
    """At and below each state's quiet time."""
    assert len(plan_revivals([run(state, seconds)], set(), NOW)) == found


def test_whose_process_holds_its_lock_is_alive() -> None:
    """However long it takes."""
    assert plan_revivals([run("RUNNING", 9999)], {"id"}, NOW) == []


def test_a_run_that_died_too_often_is_given_up_and_said() -> None:
    """One attempt below the cap is started again, at the cap a person must look."""
    below, at = (plan_revivals([run("CRASHED", 60, n)], set(), NOW)[0] for n in (ATTEMPTS - 1, ATTEMPTS))

    assert (below.again, at.again) == (True, False)
    assert "a person must look" in at.reason


def verdict(answer: Answer, since: datetime | None = None) -> Verdict:
    """An answer."""
    return Verdict(answer, "because", NOW, (), since)


@pytest.mark.parametrize(
    ("given", "mode", "now", "deed"),
    [
        (verdict(Answer.BREACH), Mode.ACT, NOW, Deed.LAUNCH),
        (verdict(Answer.BREACH), Mode.NOTIFY, NOW, Deed.WAKE),
        (verdict(Answer.HEALTHY), Mode.ACT, NOW, Deed.CERTIFY),
        (verdict(Answer.WATCH), Mode.ACT, NOW, Deed.NOTHING),
        (verdict(Answer.WATCH), Mode.ACT, WATCH.until, Deed.WAKE),
        (verdict(Answer.BLIND, NOW - timedelta(seconds=60)), Mode.ACT, NOW, Deed.NOTHING),
        (verdict(Answer.BLIND, NOW - timedelta(seconds=90)), Mode.ACT, NOW, Deed.WAKE),
    ],
)
def test_what_follows_from_a_verdict(given: Verdict, mode: Mode, now: datetime, deed: Deed) -> None:
    """Blind wakes before two minutes are over; nobody acts in the mode notify."""
    assert follow(WATCH, given, mode, now).deed is deed


def test_recovery_is_seen_or_not_seen_and_never_assumed() -> None:
    """Within the limits, still failing, nothing seen."""
    good, bad = Point(NOW, 1000, 0, 0), Point(NOW, 1000, 5, 5)

    seen = [recovered(points, Limits()) for points in ([good], [bad], [])]

    assert [each and each.stage for each in seen] == [Stage.SETTLED, Stage.MOVING, None]


def test_a_patch_release_of_ours_is_never_rolled_back() -> None:
    """No rollback of a rollback."""
    patch = Revision(5, "shop-5", "h5", "v1.2.1", NOW, patch_of="v1.2.0")
    good = Revision(4, "shop-4", "h4", "v1.1.0", NOW)
    seen = Rollout("shop", "acme", "shop", "u", "v1.2.1", 1, 1, 3, 3, 3, 3, revisions=(good, patch), current=patch)

    with pytest.raises(Refused, match="no rollback of a rollback"):
        plan_response(CATALOGUE.service("shop"), seen, "v1.2.1", Cause(), Mode.ACT)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("services: [{name: shop, namespace: a, repository: a/b, wach: 1h}]", "did you mean 'watch'"),
        ("services: [{name: shop, namespace: a, repository: a/b, watch: 1 hour}]", "is not a duration"),
        ("services: [{name: shop, namespace: a, repository: a/b, limits: {errors: 2}}]", "less than 1"),
        ("services: [{name: -x, namespace: a, repository: a/b}]", "services.0.name"),
        ("services: [{name: s, namespace: a, repository: a/b}, {name: s, namespace: a, repository: a/b}]", "twice"),
        ("services: []", "no service is listed"),
        ("services: [", "is not YAML"),
        ("", "the file"),
    ],
)
def test_a_mistake_in_the_catalogue_is_one_sentence(text: str, words: str) -> None:
    """It names the place and the way out."""
    with pytest.raises(Refused, match=words) as refused:
        parse_catalogue(text, "services.yaml")

    assert "\n" not in str(refused.value)


def test_the_plans_numbers_are_the_defaults() -> None:
    """One hour, 99.9 %, 1 %."""
    shop: Service = CATALOGUE.service("shop")

    assert (shop.watch, shop.limits.availability, shop.limits.errors) == (timedelta(hours=1), 0.999, 0.01)


def test_an_incident_has_one_key_and_a_repeat_another() -> None:
    """The number is part of the identity from the second on."""
    assert incident_key("shop", "v1.2.0") == "respond/shop/v1.2.0"
    assert incident_key("shop", "v1.2.0", 2) == "respond/shop/v1.2.0#2"
    assert incident_key("shop", "v1.2.0", 2, "v1.0.0", True) == "respond/shop/v1.2.0/to/v1.0.0/hotfix#2"
    assert incident_key("shop", "v1.2.0", corrupt=True) == "respond/shop/v1.2.0/data"


def test_an_incomplete_step_says_what_was_done() -> None:
    """The person on call asks that first."""
    assert str(Incomplete("stuck", ("patched shop",))) == "stuck (done before: patched shop)"
