"""Which runs are dead, and which of them live again."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from recovery.revivals import ATTEMPTS, RunState, plan_revivals

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
RUNS = st.builds(
    RunState,
    id=st.sampled_from("abcdef"),
    name=st.just("respond shop v1.2.0"),
    state=st.sampled_from(["SCHEDULED", "PENDING", "RUNNING", "CRASHED", "CANCELLING", "COMPLETED", "FAILED"]),
    since=st.integers(-60, 600).map(lambda seconds: NOW - timedelta(seconds=seconds)),
    attempts=st.integers(0, 2 * ATTEMPTS),
)


@given(st.lists(RUNS), st.sets(st.sampled_from("abcdef")))
def test_nothing_alive_ended_or_too_often_dead_is_started_again(runs: list[RunState], alive: set[str]) -> None:
    """Whatever Prefect shows; and nothing is ever found that was not shown."""
    found = plan_revivals(runs, alive, NOW)

    assert not {each.run.id for each in found} & alive
    assert {each.run.state for each in found} <= {"PENDING", "RUNNING", "CRASHED"}
    assert all(each.again == (each.run.attempts < ATTEMPTS) for each in found)
    assert [each.run for each in found] == [run for run in runs if run in [each.run for each in found]]


def test_a_clock_that_is_behind_kills_nobody() -> None:
    """A running run that began in our future is not dead."""
    ahead = RunState("a", "respond shop v1.2.0", "RUNNING", NOW + timedelta(seconds=1), 1)

    assert plan_revivals([ahead], set(), NOW) == []


def test_the_sentence_names_the_run_and_its_state() -> None:
    """A person reads it in the log of the monitor."""
    dead = RunState("a", "respond shop v1.2.0", "CRASHED", NOW, 1)

    found = plan_revivals([dead], set(), NOW)

    assert [each.reason for each in found] == [
        "respond shop v1.2.0 is CRASHED and its process is gone, starting it again"
    ]
