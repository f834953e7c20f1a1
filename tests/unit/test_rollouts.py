"""Which revision to go back to, and where a rollout stands."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from recovery.catalog import Service
from recovery.errors import Refused
from recovery.rollouts import Mark, Revision, Rollout, Stage, Standing, open_watch, plan_undo, progress, watch_of

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
SHOP = Service(name="shop", namespace="acme", repository="acme/shop")


def revision(number: int, version: str, standing: Standing | None = None, bound: bool = True) -> Revision:
    """A revision as read from its ReplicaSet."""
    digest = f"hash{number}"
    mark = Mark(standing, digest if bound else "another", "seen", NOW) if standing else None
    return Revision(number, f"shop-{digest}", digest, version, NOW - timedelta(minutes=100 - number), mark)


def rollout(*revisions: Revision, **changes: object) -> Rollout:
    """A settled Deployment that runs the last revision."""
    made = Rollout(
        service="shop", namespace="acme", name="shop", uid="u", version=revisions[-1].version if revisions else None,
        generation=3, observed_generation=3, wanted=3, replicas=3, updated=3, available=3, revisions=revisions,
        current=revisions[-1] if revisions else None,
    )  # fmt: skip
    return replace(made, **changes)  # type: ignore[arg-type]


def test_the_certified_revision_wins_over_a_newer_one_that_never_was() -> None:
    """v1.1.0 was certified; v1.1.1 came later and was never judged."""
    seen = rollout(revision(1, "v1.1.0", Standing.HEALTHY), revision(2, "v1.1.1"), revision(3, "v1.2.0"))

    assert plan_undo(seen, "v1.2.0").to_version == "v1.1.0"


def test_without_a_certificate_the_newest_before_it_is_taken() -> None:
    """Nothing was certified: the revision before."""
    seen = rollout(revision(1, "v1.0.0"), revision(2, "v1.1.0"), revision(3, "v1.2.0"))

    assert plan_undo(seen, "v1.2.0").to_version == "v1.1.0"


def test_a_faulty_or_quarantined_revision_is_never_gone_back_to() -> None:
    """The second newest is faulty, the third quarantined: the fourth it is."""
    seen = rollout(
        revision(1, "v0.9.0"), revision(2, "v1.0.0"), revision(3, "v1.1.0", Standing.FAULTY), revision(4, "v1.2.0")
    )

    assert plan_undo(seen, "v1.2.0", {"v1.0.0"}).to_version == "v0.9.0"


def test_a_mark_that_speaks_of_another_template_says_nothing() -> None:
    """kubectl has carried the certificate on to v1.1.1, whose template it was not given to."""
    seen = rollout(revision(1, "v1.1.0", Standing.HEALTHY), revision(2, "v1.1.1", Standing.HEALTHY, bound=False),
                   revision(3, "v1.2.0"))  # fmt: skip

    assert plan_undo(seen, "v1.2.0").to_version == "v1.1.0"


def test_what_was_undone_by_anybody_is_a_plan_that_is_done() -> None:
    """The Deployment runs an older version again."""
    seen = rollout(revision(3, "v1.2.0"), revision(4, "v1.1.0"))

    assert plan_undo(seen, "v1.2.0").done


def test_an_alert_about_a_version_long_replaced_is_refused() -> None:
    """v1.1.0 was replaced by v1.2.0 in the ordinary way: taking it back now would be wrong."""
    seen = rollout(revision(1, "v1.1.0"), revision(2, "v1.2.0"))

    with pytest.raises(Refused, match=r"runs v1\.2\.0, expected v1\.1\.0"):
        plan_undo(seen, "v1.1.0")


@pytest.mark.parametrize(
    ("seen", "words"),
    [
        (rollout(revision(1, "v1.1.0"), revision(2, "v1.2.0"), paused=True), "rollout resume"),
        (rollout(revision(1, "v1.2.0")), "prepare a hotfix"),
        (rollout(revision(1, "v1.1.0", Standing.FAULTY), revision(2, "v1.2.0")), "prepare a hotfix"),
        (rollout(revision(1, "v1.1.0")), "name the version that runs"),
    ],
)
def test_a_refusal_names_the_way_out(seen: Rollout, words: str) -> None:
    """Paused, no history, nothing good, another version."""
    with pytest.raises(Refused, match=words):
        plan_undo(seen, "v1.2.0")


@pytest.mark.parametrize(
    ("changes", "stage"),
    [
        ({}, Stage.SETTLED),
        ({"observed_generation": 2}, Stage.MOVING),
        ({"observed_generation": 2, "deadline_exceeded": True}, Stage.MOVING),
        ({"current": None}, Stage.MOVING),
        ({"updated": 2}, Stage.MOVING),
        ({"updated": 2, "deadline_exceeded": True}, Stage.STUCK),
        ({"updated": 0, "deadline_exceeded": True}, Stage.MOVING),
        ({"replicas": 4}, Stage.MOVING),
        ({"available": 2}, Stage.MOVING),
        ({"available": 2, "deadline_exceeded": True}, Stage.STUCK),
    ],
)
def test_progress_is_kubectls_without_its_stale_deadline(changes: dict[str, object], stage: Stage) -> None:
    """The order of rollout_status.go; a deadline of the version before is not believed."""
    assert progress(rollout(revision(1, "v1.1.0"), **changes)).stage is stage


def test_a_template_of_somebody_else_is_not_waited_for() -> None:
    """We wait for our template, and another one came."""
    assert progress(rollout(revision(1, "v1.1.0")), "hash9").stage is Stage.STUCK


def test_a_judged_revision_is_no_longer_under_watch() -> None:
    """Neither the certified nor the convicted, nor one deployed long before anybody watched."""
    fresh = rollout(revision(90, "v1.1.0"))
    assert open_watch(SHOP, fresh, NOW) == watch_of(SHOP, fresh, "v1.1.0")
    for standing in Standing:
        assert open_watch(SHOP, rollout(revision(90, "v1.1.0", standing)), NOW) is None
    assert open_watch(SHOP, fresh, NOW + timedelta(hours=3)) is None
