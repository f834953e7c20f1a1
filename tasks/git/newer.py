"""A release that was made while we waited: for the Git host, for required checks, or for a person."""

from recovery.errors import Refused
from recovery.hotfixes import HotfixPlan
from recovery.reverts import RevertPlan
from recovery.tags import built_on, newest, versions_above
from recovery.versions import parse_version
from tasks.git.plumbing import Repository
from tasks.git.reading import tags_by


def refuse_newer(bare: Repository, plan: RevertPlan | HotfixPlan, tags: dict[str, str]) -> None:
    """Raise Refused where a final release was made on the faulty one that nobody saw when it was planned."""
    faulty = parse_version(plan.faulty_tag, plan.tag_prefix)
    if not {*versions_above(tags, faulty)} - {*plan.previews}:
        return
    later = [tag for tag in tags_by(bare, f"--contains={plan.faulty_commit}") if tags.get(tag) != plan.faulty_commit]
    finals, _ = built_on(faulty, {*later} - {*plan.previews}, ())
    newer = newest(finals, plan.tag_prefix)
    if newer:
        raise Refused(
            f"{newer} was released on top of {plan.faulty_tag} while we waited, and {plan.patch_tag} would be deployed "
            f"over it: respond to {newer} if it is faulty, else nothing is left to be deployed"
        )
