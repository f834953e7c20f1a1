"""What a revert says of itself: the commit, the Release notes, the pull request and the proof, all from facts."""

from collections.abc import Sequence

from recovery.bounded import (
    BODY,
    MESSAGE,
    NAME,
    NOTES,
    SENTENCE,
    TITLE,
    Group,
    Listing,
    clipped,
    composed,
    listed,
    shortened,
)
from recovery.pulls import Proposal
from recovery.releases import TAKEN_BACK, Publication
from recovery.reverts import Commit, Literal, Preview, Proof, Pushed, RevertPlan


def revert_message(plan: RevertPlan, preview: Preview) -> str:
    """The message of the revert commit; the same plan and preview give the same text."""
    span = f"Takes out everything between {plan.stable_tag} and {plan.faulty_tag}{_within(plan)}:\n"
    parts = [
        plan.title,
        clipped(plan.because, SENTENCE),
        listed(span, _as_in_a_log(plan.taken_out), "  ") or span,
        listed("Keeps what came after it:\n", _as_in_a_log(plan.kept), "  "),
        _literally(plan, preview),
        "Nothing of it was left: it had been taken out by hand before." if preview.nothing_left else "",
        _asides(preview),
        f"Reverts-Release: {plan.faulty_tag} {plan.faulty_commit}\n"
        f"Restores-Release: {plan.stable_tag} {plan.stable_commit}\n"
        f"Restored-Tree: {preview.tree}\n"
        f"Incident: {plan.service}/{plan.faulty_tag}",
    ]
    return composed(parts, MESSAGE) + "\n"


def publication_of(plan: RevertPlan, pushed: Pushed, proof: Proof) -> Publication:
    """The patch release as it is published."""
    return Publication(
        repository=plan.repository,
        tag_prefix=plan.tag_prefix,
        tag=pushed.tag,
        title=clipped(f"{pushed.tag}: {plan.faulty_tag} taken back", TITLE),
        notes=release_notes(plan, pushed, proof),
        faulty_tag=plan.faulty_tag,
        note=f"{TAKEN_BACK}{pushed.tag}. Do not deploy.",
    )


def release_notes(plan: RevertPlan, pushed: Pushed, proof: Proof) -> str:
    """The notes of the patch release."""
    whole = not pushed.kept and not plan.paths
    parts = [
        f"Takes {plan.faulty_tag} back{_within(plan)}: this release is {plan.stable_tag}"
        + (", byte for byte." if whole else " and what came after." if pushed.kept else " there, byte for byte."),
        clipped(plan.because, SENTENCE),
        listed("**Taken out**", named(plan.taken_out)) or "**Taken out**",
        listed("**Kept**", named(pushed.kept)),
        listed("**Conflicts that people decided**", pushed.by_hand),
        shown_proof(proof),
    ]
    return composed(parts, NOTES)


def propose_revert(plan: RevertPlan, preview: Preview, commit: str) -> Proposal:
    """The pull request that carries the revert commit to a protected `main`."""
    parts = [
        f"{plan.faulty_tag} of {plan.service} is taken back: {clipped(plan.because, SENTENCE)}",
        f"This is one commit, {commit}. On {plan.main} as it was it gives the tree `{preview.tree}`: {plan.stable_tag}"
        + (" and what came after." if plan.kept else ", byte for byte."),
        listed("**Taken out**", named(plan.taken_out)) or "**Taken out**",
        f"It is merged as soon as its required checks are green, and tagged {plan.patch_tag}.",
    ]
    title = clipped(plan.title, TITLE)
    return Proposal(plan.repository, plan.branch, plan.main, title, composed(parts, BODY), commit=commit)


def shown_proof(proof: Proof) -> Listing:
    """The proof as Release notes have it: every command, and as much of what they print as there is room for."""
    groups = (Group(f"$ {command}", tuple(printed.split("\n") if printed else ())) for command, printed in proof.lines)
    return Listing(tuple(groups), "", "**Proof**, in a fresh clone\n```", "```")


def named(commits: Sequence[Commit]) -> list[str]:
    """Commits as a list for people has them."""
    return [f"{clipped(commit.title, NAME)} ({commit.id[:12]})" for commit in commits]


def renewed_words(plan: RevertPlan, proposal: Proposal) -> str:
    """What is said on a pull request whose one commit was made anew."""
    return f"{plan.main} moved on: the same revert was made anew on top of it, as {proposal.commit}."


def revert_words(plan: RevertPlan) -> tuple[str, str]:
    """Title and message of the commit by which a pull request brings the revert to main, however it is merged."""
    return clipped(plan.title, TITLE), (
        f"{clipped(plan.because, SENTENCE)}\n\nReverts-Release: {plan.faulty_tag} {plan.faulty_commit}\n"
        f"Restores-Release: {plan.stable_tag} {plan.stable_commit}\n"
        f"Incident: {plan.service}/{plan.faulty_tag}\n"
    )


def _within(plan: RevertPlan) -> str:
    return f" under {', '.join(plan.paths)}" if plan.paths else ""


def _literally(plan: RevertPlan, preview: Preview) -> str:
    command = f"`git revert -m 1 {plan.faulty_tag}`"
    if preview.literal is Literal.SAME:
        return f"{command} gives the same tree."
    if preview.literal is Literal.CONFLICT:
        return f"{command} would have stopped at conflicts."
    return f"{command} would have been wrong, and have left other contents in {shortened(preview.differs)}."


def _asides(preview: Preview) -> str:
    said = []
    if preview.submodules:
        said.append(f"Submodules go back by their pointers alone: {shortened(preview.submodules)}.")
    if preview.large_files:
        files = shortened(preview.large_files)
        said.append(f"Git LFS files go back by their pointers, whose contents must still be stored: {files}.")
    return "\n".join(said)


def _as_in_a_log(commits: Sequence[Commit]) -> list[str]:
    return [f"{commit.id[:12]} {clipped(commit.title, NAME)}" for commit in commits]
