"""Put the revert on a branch of its own, for a pull request; make it anew where main has left it behind."""

from prefect import task

from recovery.bounded import shortened
from recovery.errors import Refused
from recovery.pulls import Proposal
from recovery.reverts import RevertPlan
from recovery.wording import propose_revert
from tasks.git.commits import REVERTS, answers_to
from tasks.git.copies import between
from tasks.git.fates import need_room, refusal
from tasks.git.laws import preview
from tasks.git.plumbing import Repository, rows
from tasks.git.push import make_commit
from tasks.git.reading import branch_of, head_of
from tasks.retry import LOOKING_PATIENTLY


@task(name="push branch", task_run_name="push {plan.branch}", **LOOKING_PATIENTLY)
def push_branch(plan: RevertPlan) -> Proposal:
    """Put the revert commit on a branch of its own, for a pull request; says what the request proposes.

    A branch that already carries a revert of this main stays as it is, and so does one that was merged meanwhile; one
    that main has left behind is made anew. Raises Refused where people have put anything on it.
    """
    with between(plan, (plan.branch,)) as bare:
        head, there = head_of(bare, plan.main), branch_of(bare, plan.branch)
        seen = preview(bare, plan, head)
        if answers_to(bare, plan.faulty_tag, plan.faulty_commit, head, REVERTS):
            return propose_revert(plan, seen, there or "")
        commit = make_commit(bare, plan, seen)
        if there not in (None, commit):
            _ours_alone(bare, plan, head, there)
        if there is None:
            need_room(bare, plan.branch)
        if there != commit:
            lease = f"--force-with-lease=refs/heads/{plan.branch}:{there or ''}"
            status, out, err = bare.answer(
                "push", "--porcelain", lease, bare.url, f"+{commit}:refs/heads/{plan.branch}"
            )
            if status != 0:
                raise refusal(bare, plan.branch, status, f"{out}\n{err}")
        return propose_revert(plan, seen, commit)


def _ours_alone(bare: Repository, plan: RevertPlan, head: str, there: str) -> None:
    """Refuse to replace what is not our revert, or has more on it than main merged into it."""
    own = answers_to(bare, plan.faulty_tag, plan.faulty_commit, there, REVERTS)
    listed = rows(bare.git("log", "--no-merges", "--format=%H %h %s", f"{head}..{there}"))
    theirs = [said for commit, _, said in (line.partition(" ") for line in listed) if commit not in own]
    if not own:
        raise Refused(
            f"{plan.repository} has a branch {plan.branch} that is not ours ({there[:12]}): rename it and retry"
        )
    if theirs:
        raise Refused(
            f"{plan.branch} of {plan.repository} has more on it than our revert ({shortened(theirs, 3)}): "
            "merge it by hand, or rename it and retry"
        )
