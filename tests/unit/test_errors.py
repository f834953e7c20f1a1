"""The three errors: what each says, and that it arrives in another process as it was."""

import pickle

import pytest

from recovery.errors import Incomplete, RecoveryError, Refused, Unavailable

ERRORS = (Refused("no"), Unavailable("silence"), Incomplete("stopped"), Incomplete("stopped", ("a commit", "a tag")))


@pytest.mark.parametrize("error", ERRORS, ids=repr)
def test_an_error_arrives_in_another_process_as_it_was(error: RecoveryError) -> None:
    """Prefect keeps what a task raised, and a retry reads it: kind, sentence and what was done."""
    arrived = pickle.loads(pickle.dumps(error))  # noqa: S301 our own bytes

    assert type(arrived) is type(error)
    assert str(arrived) == str(error)
    assert getattr(arrived, "done", None) == getattr(error, "done", None)


def test_no_error_is_a_kind_of_another() -> None:
    """Whoever catches one must not get another: they say different things about the world."""
    kinds = (Refused, Unavailable, Incomplete)

    assert all(kind.__bases__ == (RecoveryError,) for kind in kinds)


def test_incomplete_says_what_was_done_before() -> None:
    """In the order in which it was done; nothing where nothing was."""
    assert str(Incomplete("the tag was not pushed", ("made a commit", "pushed main"))) == (
        "the tag was not pushed (done before: made a commit; pushed main)"
    )
    assert str(Incomplete("the tag was not pushed")) == "the tag was not pushed"
