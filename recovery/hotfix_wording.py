"""What a hotfix's commit says, and its pull request."""

from collections.abc import Sequence

from recovery.bounded import BODY, MESSAGE, NOTES, SENTENCE, TITLE, clipped, composed, listed
from recovery.hotfixes import Answer, HotfixBranch, HotfixPlan
from recovery.proposals import FixKind, FixProposal
from recovery.pulls import Proposal, PullRequest
from recovery.releases import MENDED_BY, Publication
from recovery.reverts import Proof, Pushed
from recovery.wording import named, shown_proof


def commit_message(plan: HotfixPlan, proposal: FixProposal) -> str:
    """What the commit on the branch says."""
    parts = [
        proposal.title,
        clipped(plan.because, SENTENCE),
        f"A hotfix and no full rollback: {clipped(plan.reason, SENTENCE)}.",
        listed("Takes out:\n", named(proposal.takes_out), "  "),
        listed("Keeps:\n", proposal.keeps, "  "),
        trailers(plan),
    ]
    return composed(parts, MESSAGE) + "\n"


def trailers(plan: HotfixPlan) -> str:
    """The lines by which a hotfix is known again."""
    return f"Mends-Release: {plan.faulty_tag} {plan.faulty_commit}\nIncident: {plan.service}/{plan.faulty_tag}\n"


def pull_request_title(plan: HotfixPlan, proposal: FixProposal | None) -> str:
    """One line, with the patch release that it becomes."""
    return clipped(f"Hotfix {plan.patch_tag}: {proposal.title if proposal else f'Mend {plan.faulty_tag}'}", TITLE)


def pull_request_body(plan: HotfixPlan, proposal: FixProposal | None, conflicts: Sequence[str] = ()) -> str:
    """What is proposed and why, what is kept, how to push own commits, and which answers there are."""
    made = proposal if proposal and proposal.kind is not FixKind.EMPTY else None
    take = f"merge this; {plan.patch_tag} is tagged on the merge and deployed" if made else "not possible yet"
    parts = [
        clipped(plan.because, SENTENCE),
        f"{plan.faulty_tag} is not rolled back in full: {clipped(plan.reason, SENTENCE)}.",
        f"**{made.title}**: {clipped(made.reason, SENTENCE)}."
        if made
        else "No fix could be derived: the branch is one to start from.",
        listed("**Taken out**\n", named(made.takes_out) if made else ()),
        listed("**Kept**\n", made.keeps if made else ()),
        listed("**Could not be taken out mechanically**, later commits touch the same lines\n", conflicts),
        "**To push commits of your own**\n\n```sh\ngit fetch origin\n"
        f"git switch {plan.branch}\n# mend it and commit\ngit push origin {plan.branch}\n```",
        f"**Answer in the Prefect UI**\n\n- *{Answer.TAKE}*: {take}\n"
        f"- *{Answer.OWN}*: what is on the branch by then is merged, tagged {plan.patch_tag} and deployed\n"
        f"- *{Answer.ABANDON}*: this is closed and nothing is released; the cluster stays as it is",
        trailers(plan),
    ]
    return composed(parts, BODY - 1) + "\n"


def propose_hotfix(plan: HotfixPlan, branch: HotfixBranch) -> Proposal:
    """The draft pull request of a hotfix."""
    title = pull_request_title(plan, branch.proposal)
    body = pull_request_body(plan, branch.proposal, branch.conflicts)
    return Proposal(plan.repository, plan.branch, plan.main, title, body, draft=True)


def merge_words(plan: HotfixPlan, branch: HotfixBranch) -> tuple[str, str]:
    """Title and message of the commit by which a hotfix comes to main; its trailers are how it is known again."""
    return pull_request_title(plan, branch.proposal), f"{clipped(plan.because, SENTENCE)}\n\n{trailers(plan)}"


def ask_for_hotfix(plan: HotfixPlan, branch: HotfixBranch, pull: PullRequest, objection: str | None = None) -> str:
    """What stands above the form in the Prefect UI."""
    made = branch.proposal
    proposal = "nothing yet: no fix could be derived, push one" if made is None or made.after is None else made.title
    parts = [
        f"**That does not go: {objection}.**" if objection else "",
        f"{plan.service} {plan.faulty_tag}: {plan.because}",
        f"It is not rolled back in full: {plan.reason}.",
        f"Proposed is *{proposal}*, see [the pull request #{pull.number}]({pull.url}).",
        f"- *{Answer.TAKE}*: it is merged, tagged {plan.patch_tag} and deployed\n"
        f"- *{Answer.OWN}*: what is on `{plan.branch}` by then is merged, tagged and deployed\n"
        f"- *{Answer.ABANDON}*: nothing is released; the cluster stays as it is",
    ]
    return "\n\n".join(part for part in parts if part)


def hotfix_notes(plan: HotfixPlan, branch: HotfixBranch, pushed: Pushed, proof: Proof) -> Publication:
    """The Release of a hotfix, with notes made from facts."""
    made = branch.proposal
    parts = [
        f"Mends {plan.faulty_tag}: {clipped(plan.because, SENTENCE)}",
        f"It is no full rollback: {clipped(plan.reason, SENTENCE)}.",
        f"**{made.title}**: {clipped(made.reason, SENTENCE)}."
        if made and made.after
        else "The fix was written by people.",
        listed("**Kept**\n", made.keeps if made else ()),
        shown_proof(proof),
    ]
    return Publication(
        repository=plan.repository,
        tag_prefix=plan.tag_prefix,
        tag=pushed.tag,
        title=clipped(f"{pushed.tag}: {plan.faulty_tag} mended", TITLE),
        notes=composed(parts, NOTES),
        faulty_tag=plan.faulty_tag,
        note=f"{MENDED_BY}{pushed.tag}. Do not deploy.",
    )
