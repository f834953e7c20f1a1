"""On which way a revert reaches `main`, or why it does not."""

from dataclasses import dataclass
from enum import StrEnum

from recovery.bounded import shortened
from recovery.catalog import Service
from recovery.errors import Refused
from recovery.pulls import Protection
from recovery.reverts import Preview, RevertPlan


class Way(StrEnum):
    """How the source is brought back."""

    DONE = "done already"
    MENDED = "mended already"
    TAG = "tag"
    PUSH = "push"
    PULL_REQUEST = "pull request"
    HOTFIX = "hotfix"
    CONFIRM = "confirm"


@dataclass(frozen=True, slots=True)
class Decision:
    """The way that is taken, and why."""

    way: Way
    reason: str


def choose_way(
    service: Service, plan: RevertPlan, preview: Preview, obstacle: str | None, protection: Protection, signing: bool
) -> Decision:
    """Decide how the revert reaches `main`; `obstacle` says why a full rollback is not feasible, if it is not.

    A person must confirm a stable version that is in doubt, unless nothing is taken out as a whole anyway. Raises
    Refused when nothing lies between the two releases, or when `main` asks for what we cannot give: a merge queue, a
    signature without a key.
    """
    if plan.done_as:
        return Decision(Way.DONE, f"{plan.faulty_tag} was already taken out as {plan.done_as}")
    if plan.mended_as:
        hotfix = f"{plan.faulty_tag} was mended by the hotfix {plan.mended_as}"
        return Decision(Way.MENDED, f"{hotfix}: if that one is faulty too, respond to {plan.mended_as}")
    if plan.doubt and not obstacle:
        return Decision(Way.CONFIRM, plan.doubt)
    if not preview.touched:
        inside = f" under {', '.join(plan.paths)}" if plan.paths else ""
        raise Refused(
            f"{plan.faulty_tag} and {plan.stable_tag} do not differ{inside}: there is nothing to take back, "
            "look for the cause elsewhere"
        )
    if obstacle:
        return Decision(Way.HOTFIX, obstacle)
    if plan.landed:
        taken = f"{plan.faulty_tag} was taken out of {plan.main} by {plan.landed[:12]} already"
        return Decision(Way.TAG, f"{taken}: only the tag {plan.patch_tag} is missing")
    if preview.tree is None:
        return Decision(
            Way.HOTFIX,
            f"{plan.faulty_tag} cannot be taken out of {plan.main} mechanically, later commits touch the same lines "
            f"of {shortened(preview.conflicts)}",
        )
    if preview.broken:
        return Decision(Way.HOTFIX, f"{plan.faulty_tag} cannot be taken out cleanly: {'; '.join(preview.broken)}")
    if protection.signatures and not signing:
        raise Refused(
            f"{plan.main} of {plan.repository} takes signed commits only and ripcord has no key: "
            "set RIPCORD_SIGNING_KEY and add its public half to the account of the token"
        )
    if protection.merge_queue:
        raise Refused(
            f"{plan.main} of {plan.repository} is merged through a queue, which a recovery cannot wait in: let the "
            f"token's account bypass it, or queue the branch {plan.branch} by hand"
        )
    if service.via == "pull-request" or protection.refuses_push:
        why = "the catalogue says so" if service.via == "pull-request" else f"{plan.main} {protection}"
        return Decision(Way.PULL_REQUEST, f"by a pull request, since {why}")
    return Decision(Way.PUSH, f"{plan.main} and the tag {plan.patch_tag} are pushed together, both or neither")
