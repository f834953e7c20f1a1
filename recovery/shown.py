"""Answers as Markdown, for the artifacts that people read in the Prefect UI."""

import re
from collections.abc import Sequence

from recovery.hotfixes import HotfixPlan
from recovery.readings import Watch
from recovery.responses import ResponsePlan
from recovery.reverts import Commit, Preview, Proof, RevertPlan
from recovery.verdicts import Verdict
from recovery.ways import Decision
from recovery.wording import revert_message


def show_verdict(watch: Watch, verdict: Verdict) -> str:
    """A verdict with its arithmetic."""
    rows = "\n".join(
        f"| {f'**{finding.label}**' if finding.breached else finding.label} | {_plain(finding.arithmetic)} |"
        for finding in verdict.findings
    )
    table = f"\n\n| | arithmetic |\n|---|---|\n{rows}" if rows else ""
    head = f"# {watch.service} {_plain(watch.version)}: {verdict.answer}"
    span = f"watched from {watch.since:%H:%M:%S} to {watch.until:%H:%M:%S}, judged {verdict.at:%Y-%m-%d %H:%M:%S} UTC"
    return f"{head}\n\n{_plain(verdict.reason)}\n\n*{span}*{table}\n"


def show_response(plan: ResponsePlan, *, rehearsed: bool) -> str:
    """The plan of a response, step by step."""
    steps = "\n".join(f"{number}. {_plain(step)}" for number, step in enumerate(plan.steps, 1))
    head = (
        "rehearsed, nothing was changed" if rehearsed else ("acting" if plan.act else "told only, nothing was changed")
    )
    return f"# respond {plan.service} {_plain(plan.version)}: {head}\n\n{_plain(plan.reason)}\n\n{steps}\n"


def show_revert(plan: RevertPlan, preview: Preview, decision: Decision, feasible: str = "") -> str:
    """The plan of a revert: on which way, what goes, what stays, what the commit will say; why that is feasible."""
    out = _listed(plan.taken_out) or "- nothing"
    kept = _listed(plan.kept) or "- nothing came after it"
    gives = _gives(plan, preview)
    conflicts = "".join(f"- {_plain(path)}\n" for path in preview.conflicts)
    because = f"*Full rollback*: {_plain(feasible)}\n\n" if feasible and feasible != decision.reason else ""
    return (
        f"# Take {plan.faulty_tag} out of {plan.main}, back to {plan.stable_tag}\n\n"
        f"{plan.stable_tag} is the {_plain(plan.reason)}. {gives}, tagged {plan.patch_tag}.\n\n"
        f"**{decision.way}**: {_plain(decision.reason)}\n\n{because}**Taken out**\n\n{out}\n\n**Kept**\n\n{kept}\n\n"
        + (f"**In conflict**\n\n{conflicts}\n" if conflicts else "")
        + ("" if plan.landed else f"**The commit will say**\n\n{_fenced(revert_message(plan, preview))}\n")
    )


def show_hotfix(plan: HotfixPlan) -> str:
    """The plan of a hotfix: why, what is proposed, the first choice first."""
    titled = [f"**{_plain(each.title)}**: {_plain(each.reason)}" for each in plan.proposals]
    ranked = "\n".join(f"{number}. {each}" for number, each in enumerate(titled, 1))
    return (
        f"# Hotfix {plan.patch_tag} for {plan.faulty_tag} of {plan.service}\n\n{_plain(plan.reason)}.\n\n"
        f"On `{plan.branch}` from `{plan.main}`, by a pull request, the first that can be made:\n\n{ranked}\n"
    )


def show_proof(plan: RevertPlan | HotfixPlan, proof: Proof) -> str:
    """The proof, as commands that anyone can run."""
    done = "out" if isinstance(plan, RevertPlan) else "mended"
    head = f"# Proof: {plan.faulty_tag} is {done}\n\nIn a fresh clone of `{plan.repository}`:"
    return f"{head}\n\n{_fenced(str(proof))}\n"


def _gives(plan: RevertPlan, preview: Preview) -> str:
    if preview.tree is None:
        decided = f", and people decided: `{plan.landed[:12]}` is on `{plan.main}`"
        return "It conflicts" + (decided if plan.landed else "")
    if plan.landed:
        return f"`{plan.main}` became tree `{preview.tree}` by `{plan.landed[:12]}`"
    return f"`{plan.main}` would become tree `{preview.tree}`"


def _listed(commits: Sequence[Commit]) -> str:
    return "\n".join(f"- `{commit.id[:12]}` {_plain(commit.title)}" for commit in commits)


def _plain(text: str) -> str:
    """Words from elsewhere (commit titles, labels, alerts) on one line, with nothing that Markdown or HTML obeys."""
    return re.sub(r"([\\`*_~\[\]<>|#])", r"\\\1", " ".join(text.split()))


def _fenced(text: str) -> str:
    """Text as it is, between fences that are longer than any it has itself."""
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", text)), default=0))
    return f"{fence}\n{text.rstrip()}\n{fence}"
