"""What a revert says of itself: the commit, the Release notes, the pull request and the proof, all from facts."""

from collections.abc import Sequence

from recovery.pulls import Proposal
from recovery.releases import TAKEN_BACK, Publication
from recovery.reverts import Commit, Literal, Preview, Proof, Pushed, RevertPlan, shortened


def revert_message(plan: RevertPlan, preview: Preview) -> str:
    """The message of the revert commit; the same plan and preview give the same text."""
    notes = [
        plan.because,
        f"Takes out everything between {plan.stable_tag} and {plan.faulty_tag}{_within(plan)}:\n\n"
        + _listed(plan.taken_out),
        "Keeps what came after it:\n\n" + _listed(plan.kept) if plan.kept else "",
        _literally(plan, preview),
        "Nothing of it was left: it had been taken out by hand before." if preview.nothing_left else "",
        _asides(preview),
    ]
    body = "\n\n".join(note.strip("\n") for note in notes if note)
    return (
        f"{plan.title}\n\n{body}\n\n"
        f"Reverts-Release: {plan.faulty_tag} {plan.faulty_commit}\n"
        f"Restores-Release: {plan.stable_tag} {plan.stable_commit}\n"
        f"Restored-Tree: {preview.tree}\n"
        f"Incident: {plan.service}/{plan.faulty_tag}\n"
    )


def publication_of(plan: RevertPlan, pushed: Pushed, proof: Proof) -> Publication:
    """The patch release as it is published."""
    return Publication(
        repository=plan.repository,
        tag_prefix=plan.tag_prefix,
        tag=pushed.tag,
        title=f"{pushed.tag}: {plan.faulty_tag} taken back",
        notes=release_notes(plan, pushed, proof),
        faulty_tag=plan.faulty_tag,
        note=f"{TAKEN_BACK}{pushed.tag}. Do not deploy.",
    )


def release_notes(plan: RevertPlan, pushed: Pushed, proof: Proof) -> str:
    """The notes of the patch release."""
    kept = "".join(f"- {commit.title} ({commit.id[:12]})\n" for commit in pushed.kept)
    whole = not pushed.kept and not plan.paths
    parts = [
        f"Takes {plan.faulty_tag} back{_within(plan)}: this release is {plan.stable_tag}"
        + (", byte for byte." if whole else " and what came after." if pushed.kept else " there, byte for byte."),
        f"{plan.because}",
        "**Taken out**\n" + "".join(f"- {commit.title} ({commit.id[:12]})\n" for commit in plan.taken_out),
        f"**Kept**\n{kept}" if kept else "",
        f"**Proof**, in a fresh clone\n```\n{proof}\n```",
    ]
    return "\n\n".join(part.strip() for part in parts if part)


def propose_revert(plan: RevertPlan, preview: Preview, commit: str) -> Proposal:
    """The pull request that carries the revert commit to a protected `main`."""
    body = "\n\n".join(
        [
            f"{plan.faulty_tag} of {plan.service} is taken back: {plan.because}",
            f"This is one commit. On {plan.main} as it was it gives the tree `{preview.tree}`: {plan.stable_tag}"
            + (" and what came after." if plan.kept else ", byte for byte."),
            "**Taken out**\n" + "".join(f"- {commit.title} ({commit.id[:12]})\n" for commit in plan.taken_out),
            f"It is merged as soon as its required checks are green, and tagged {plan.patch_tag}.",
        ]
    )
    return Proposal(plan.repository, plan.branch, plan.main, plan.title, body, commit=commit)


def renewed_words(plan: RevertPlan, proposal: Proposal) -> str:
    """What is said on a pull request whose one commit was made anew."""
    return (
        f"{plan.main} moved on and asks for branches that are up to date: the same revert was made anew on top of it, "
        f"as {proposal.commit}."
    )


def revert_words(plan: RevertPlan) -> tuple[str, str]:
    """Title and message of the commit by which a pull request brings the revert to main, however it is merged."""
    return plan.title, (
        f"{plan.because}\n\nReverts-Release: {plan.faulty_tag} {plan.faulty_commit}\n"
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


def _listed(commits: Sequence[Commit]) -> str:
    return "".join(f"  {commit.id[:12]} {commit.title}\n" for commit in commits)
