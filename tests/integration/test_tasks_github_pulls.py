"""Pull requests on the lab's GitHub: one and no twin, spoken to once; plain HTTP is the witness."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from infra.lab.githost import GitHost
from recovery.errors import Incomplete, Refused
from tasks.github import close_pull, comment_on, mark_ready, open_pull, wait_and_merge
from tests.integration.github_shop import Shop, new_shop

BRANCH = "revert/v1.2.0"
SHORT = timedelta(seconds=1)


@pytest.fixture(name="shop")
def _shop(host: GitHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    with new_shop(host, tmp_path, monkeypatch) as shop:
        yield shop


def test_a_pull_request_is_opened_once(shop: Shop) -> None:
    """The second call finds the first one's, and says the same of it."""
    head = shop.branch(BRANCH)
    first, second = open_pull.fn(shop.proposal()), open_pull.fn(shop.proposal())

    seen = shop.pulls()
    assert len(seen) == 1
    assert first == second
    assert (first.url, first.sha, first.head, first.base) == (seen[0]["html_url"], head, BRANCH, "main")
    assert (seen[0]["title"], seen[0]["body"], seen[0]["draft"]) == (
        "Revert release v1.2.0",
        "It is taken back.",
        False,
    )
    assert (first.open, first.draft, first.merged_as) == (True, False, None)


def test_one_that_was_merged_is_found_and_not_opened_again(shop: Shop) -> None:
    """Whether the branch is there still or was deleted with the merge."""
    shop.branch(BRANCH)
    number = open_pull.fn(shop.proposal()).number
    merged = shop.send("PUT", f"/pulls/{number}/merge").json()["sha"]

    assert open_pull.fn(shop.proposal()).merged_as == merged
    shop.push(f":{BRANCH}")
    again = open_pull.fn(shop.proposal())

    assert (again.merged_as, again.number, again.open) == (merged, number, False)
    assert len(shop.pulls()) == 1


def test_new_work_on_the_branch_of_a_merged_one_gets_its_own(shop: Shop) -> None:
    """The merged one had another head: this is another change."""
    shop.branch(BRANCH)
    number = open_pull.fn(shop.proposal()).number
    shop.send("PUT", f"/pulls/{number}/merge")
    head = shop.branch(BRANCH, "more")

    opened = open_pull.fn(shop.proposal())

    assert (opened.number > number, opened.sha, opened.merged_as) == (True, head, None)


def test_one_that_a_person_closed_does_not_keep_the_next_from_being_opened(shop: Shop) -> None:
    """Only open and merged ones count."""
    shop.branch(BRANCH)
    closed = open_pull.fn(shop.proposal())
    shop.send("PATCH", f"/pulls/{closed.number}", state="closed")

    assert open_pull.fn(shop.proposal()).number != closed.number


def test_a_head_that_github_shows_late_is_waited_for(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """The request is the one that is there, with the head that was pushed last, and that is what is merged."""
    monkeypatch.setenv("RIPCORD_PATIENCE", "0.1")
    shop.branch(BRANCH)
    first = open_pull.fn(shop.proposal())
    shop.host.lag_heads(shop.name, 1)
    head = shop.branch(BRANCH, "anew")
    assert shop.pulls()[0]["head"]["sha"] == first.sha

    opened = open_pull.fn(replace(shop.proposal(), commit=head))

    assert (opened.number, opened.sha) == (first.number, head)
    merged = wait_and_merge.fn(shop.service, opened, "t", "m").merged_as
    assert shop.bare("rev-parse", f"{merged}^2") == head


def test_a_branch_that_brings_nothing_is_refused(shop: Shop) -> None:
    """There is nothing to merge."""
    shop.push("main:refs/heads/revert/v1.2.0")

    with pytest.raises(Refused, match=r"revert/v1\.2\.0 brings nothing that main lacks"):
        open_pull.fn(shop.proposal())


def test_a_branch_that_is_not_there_is_refused(shop: Shop) -> None:
    """The way out is to push it."""
    with pytest.raises(Refused, match=r"no pull request of revert/v1\.2\.0 into main .*push the branch first"):
        open_pull.fn(shop.proposal())


def test_a_draft_is_opened_as_one_and_marked_ready_once(shop: Shop) -> None:
    """Nobody merges it before somebody has read it."""
    shop.branch(BRANCH)
    draft = open_pull.fn(shop.proposal(draft=True))
    assert shop.pulls()[0]["draft"] is draft.draft is True
    with pytest.raises(Incomplete, match="is a draft: read it"):
        wait_and_merge.fn(shop.service, draft, "t", "m", SHORT)

    first, second = mark_ready.fn(draft), mark_ready.fn(draft)

    assert shop.pulls()[0]["draft"] is False
    assert first == f"marked {draft.url} as ready for review"
    assert second == f"skipped: {draft.url} is no draft"


def test_a_comment_stands_once_per_key(shop: Shop) -> None:
    """A person may have said something in between."""
    shop.branch(BRANCH)
    pull = open_pull.fn(shop.proposal())
    first = comment_on.fn(pull, "v1.2.0 is being taken back.", "respond/shop/v1.2.0")
    shop.send("POST", f"/issues/{pull.number}/comments", body="Thank you.")

    again = comment_on.fn(pull, "v1.2.0 is being taken back.", "respond/shop/v1.2.0")
    comment_on.fn(pull, "It is done.", "done/shop/v1.2.0")

    said = [each["body"] for each in shop.get(f"/issues/{pull.number}/comments")]
    assert said == [
        "v1.2.0 is being taken back.\n\n<!-- ripcord:respond/shop/v1.2.0 -->",
        "Thank you.",
        "It is done.\n\n<!-- ripcord:done/shop/v1.2.0 -->",
    ]
    assert first.startswith("said http")
    assert again.startswith("skipped: it stands there already, http")


def test_one_is_closed_with_the_reason_and_only_once(shop: Shop) -> None:
    """The second time there is nothing to do."""
    shop.branch(BRANCH)
    pull = open_pull.fn(shop.proposal())
    first, second = close_pull.fn(pull, "The hotfix is out."), close_pull.fn(pull, "The hotfix is out.")

    assert shop.pulls()[0]["state"] == "closed"
    assert len(shop.get(f"/issues/{pull.number}/comments")) == 1
    assert (first, second) == (f"closed {pull.url}", f"skipped: {pull.url} is closed already")


def test_one_that_was_merged_is_not_closed(shop: Shop) -> None:
    """It is to be taken back then."""
    shop.branch(BRANCH)
    pull = open_pull.fn(shop.proposal())
    shop.send("PUT", f"/pulls/{pull.number}/merge")

    with pytest.raises(Refused, match=r"was merged as [0-9a-f]{12}: take that back"):
        close_pull.fn(pull, "no")
