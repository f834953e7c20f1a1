"""The chain of steps by which a release is taken out, as the flow takes them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from prefect.logging import disable_run_logger

from recovery.catalog import Service
from recovery.errors import Refused
from recovery.incidents import Cause
from recovery.pulls import Protection
from recovery.releases import Release
from recovery.reverts import Preview, Proof, Pushed, RevertPlan, plan_revert
from recovery.versions import parse_version
from recovery.ways import Decision, Way, choose_way
from tasks.git import preview_revert, prove_revert, push_revert, read_history
from tasks.settings import can_sign
from tests.histories.remote import Remote, attempt, git, shell

SEEN_AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
CAUSE = Cause(sentence="checkout fails", seen_at=SEEN_AT)
CLAIMS = {
    " gives the same tree.": "same",
    " would have stopped at conflicts.": "conflict",
    " would have been wrong, and have left other contents in ": "other",
}


@dataclass(frozen=True, slots=True)
class End:
    """How it ended: taken out, handed to people, or refused."""

    refused: str | None = None
    decision: Decision | None = None
    plan: RevertPlan | None = None
    preview: Preview | None = None
    pushed: Pushed | None = None
    proof: Proof | None = None

    @property
    def way(self) -> Way | None:
        """The way that was taken; None where it was refused."""
        return self.decision.way if self.decision else None


def released(*tags: str) -> list[Release]:
    """Published final releases."""
    return [Release(number, tag, tag, "", False, False, SEEN_AT) for number, tag in enumerate(tags, 1)]


def service_of(remote: Remote, **more: object) -> Service:
    """The catalogue's entry for a repository."""
    given = {"name": "shop", "namespace": "acme", "repository": remote.repository, **more}
    return Service.model_validate(given)


def take_out(
    service: Service,
    tag: str,
    releases: Sequence[Release],
    to: str | None = None,
    deployed: str | None = None,
    *,
    proved: bool = True,
) -> End:
    """Read, plan, preview, choose, push, prove; a refusal is an end, all else that is raised is a fault."""
    with disable_run_logger():
        try:
            history = read_history.fn(service, tag, releases, to)
            faulty = parse_version(tag, service.tag_prefix)
            plan = plan_revert(service, faulty, history, releases, CAUSE, to, deployed)
            preview = preview_revert.fn(plan)
            decision = choose_way(service, plan, preview, None, Protection(), can_sign())
        except Refused as refused:
            return End(refused=str(refused))
        if decision.way in (Way.CONFIRM, Way.MENDED):
            return End(refused=decision.reason)
        if decision.way is Way.HOTFIX:
            return End(decision=decision, plan=plan, preview=preview)
        pushed = push_revert.fn(plan, decision)
        assert pushed is not None
        proof = prove_revert.fn(plan, pushed) if proved else None
        return End(None, decision, plan, preview, pushed, proof)


def planned_on_all(service: Service, tag: str, releases: Sequence[Release]) -> RevertPlan | str:
    """The plan that the whole history gives, with nothing left out and nothing kept; or why there is none."""
    with disable_run_logger():
        try:
            history = read_history.fn(service, tag)
            return plan_revert(service, parse_version(tag, service.tag_prefix), history, releases, CAUSE)
        except Refused as refused:
            return str(refused)


def check_proof(remote: Remote, proof: Proof, directory: Path) -> None:
    """Every command of the proof, word for word in a fresh clone, prints what the proof says."""
    seen = remote.clone(directory)
    for command, printed in proof.lines:
        assert shell(seen, command) == printed, command


def claimed(remote: Remote, pushed: Pushed) -> tuple[str, str]:
    """What the revert commit says of the plan's literal command: same, conflict or other, and in which files."""
    body = remote.git("log", "-1", "--format=%B", pushed.commit)
    [said] = [line for line in body.splitlines() if line.startswith("`git revert -m 1 ")]
    [(words, claim)] = [each for each in CLAIMS.items() if each[0] in said]
    return claim, said.partition(words)[2].removesuffix(".")


def literal(remote: Remote, plan: RevertPlan, pushed: Pushed, directory: Path) -> tuple[str, str]:
    """What the plan's literal command gives, by porcelain in a clone that may be there: same, conflict or other.

    And the files in which it leaves other contents than the revert: the first five, and how many more.
    """
    seen = directory if directory.exists() else remote.clone(directory)
    # Files as they are stored: neither line endings nor a program that this machine may lack come between.
    (seen / ".git" / "info" / "attributes").write_text("* -text -filter\n")
    git(seen, "checkout", "--quiet", "--detach", pushed.parent)
    done = attempt(seen, "revert", "--no-edit", "-m", "1", plan.faulty_tag)
    if done.returncode != 0 and git(seen, "ls-files", "--unmerged"):
        return "conflict", ""
    assert done.returncode == 0 or b"nothing to commit" in done.stdout, (done.stdout, done.stderr)
    files = git(seen, "diff", "--no-renames", "--name-only", pushed.tree, "HEAD", "--").splitlines()
    named = ", ".join(files[:5]) + (f" and {len(files) - 5} more" if len(files) > 5 else "")
    return "other" if files else "same", named
