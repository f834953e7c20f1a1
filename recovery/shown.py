"""Answers as Markdown, for the artifacts that people read in the Prefect UI."""

from recovery.readings import Watch
from recovery.responses import ResponsePlan
from recovery.reverts import Proof, RevertPlan
from recovery.verdicts import Verdict


def show_verdict(watch: Watch, verdict: Verdict) -> str:
    """A verdict with its arithmetic."""
    rows = "\n".join(
        f"| {'**breach**' if finding.breached else 'no breach'} | {finding.arithmetic} |"
        for finding in verdict.findings
    )
    table = f"\n\n| | arithmetic |\n|---|---|\n{rows}" if rows else ""
    head = f"# {watch.service} {watch.version}: {verdict.answer}"
    span = f"watched from {watch.since:%H:%M:%S} to {watch.until:%H:%M:%S}, judged {verdict.at:%Y-%m-%d %H:%M:%S} UTC"
    return f"{head}\n\n{verdict.reason}\n\n*{span}*{table}\n"


def show_response(plan: ResponsePlan, *, rehearsed: bool) -> str:
    """The plan of a response, step by step."""
    steps = "\n".join(f"{number}. {step}" for number, step in enumerate(plan.steps, 1))
    head = (
        "rehearsed, nothing was changed" if rehearsed else ("acting" if plan.act else "told only, nothing was changed")
    )
    return f"# respond {plan.service} {plan.version}: {head}\n\n{plan.reason}\n\n{steps}\n"


def show_revert(plan: RevertPlan, preview: str) -> str:
    """The plan of a revert: what goes, what stays, what the commit will say."""
    out = "\n".join(f"- `{commit.id[:12]}` {commit.title}" for commit in plan.taken_out) or "- nothing"
    kept = "\n".join(f"- `{commit.id[:12]}` {commit.title}" for commit in plan.kept) or "- nothing came after it"
    return (
        f"# Take {plan.faulty_tag} out of {plan.main}, back to {plan.stable_tag}\n\n"
        f"{plan.reason}. {preview}.\n\n**Taken out**\n\n{out}\n\n**Kept**\n\n{kept}\n\n"
        f"**The commit will say**\n\n```\n{plan.message}```\n"
    )


def show_proof(plan: RevertPlan, proof: Proof) -> str:
    """The proof, as commands that anyone can run."""
    return f"# Proof: {plan.faulty_tag} is out\n\nIn a fresh clone of `{plan.repository}`:\n\n```\n{proof}\n```\n"
