"""What a synchronisation says of itself: two commits, and the pull requests that ask people for what is left."""

import shlex
from collections.abc import Sequence

from recovery.bounded import BODY, TITLE, clipped, composed, listed
from recovery.pulls import Proposal
from recovery.syncs import Objection, Reland, SyncPlan
from recovery.wording import named

MOST = 50  # paths that a pull request names: its text is limited


def sync_message(sync: SyncPlan) -> str:
    """The message of the merge of the patch release into develop."""
    what = "was taken out of" if sync.reverts else "was mended on"
    return (
        f"Merge {sync.patch} into {sync.develop}\n\n"
        f"{sync.faulty_tag} {what} {sync.main}, and {sync.develop} follows. A real merge: git knows\n"
        f"then that the change has arrived, and the next release does not make it again.\n\n"
        f"Syncs-Release: {sync.patch} {sync.pushed.commit}\n"
        f"Incident: {sync.service}/{sync.faulty_tag}\n"
    )


def reland_message(sync: SyncPlan) -> str:
    """The message of the commit that reverts the revert."""
    return (
        f"Reapply release {sync.faulty_tag}\n\n"
        f"{sync.patch} took it out of {sync.main}, and {sync.develop} followed. This puts it back as it\n"
        f"was, the fault included, to be mended on top. The tree is that of {sync.develop}\n"
        f"and {sync.main} merged as they were before the revert.\n\n"
        f"Relands-Release: {sync.faulty_tag} {sync.faulty_commit}\n"
        f"Reverts-Commit: {sync.pushed.commit}\n"
        f"Incident: {sync.service}/{sync.faulty_tag}\n"
    )


def propose_by_hand(sync: SyncPlan, objection: Objection, before: str) -> Proposal:
    """Ask people to merge the patch release into develop, which was left at the commit `before`."""
    branch, develop = sync.waits_on, sync.develop
    hint = f"leave out what {sync.faulty_tag} brought" if sync.reverts else f"and what {sync.patch} mended"
    body = (
        f"{_what(sync)} That could not be done without a person: {objection.reason}\n\n{_bullets(objection.paths)}\n"
        f"`{develop}` was left as it is. Until this is merged, the next release can lack what `{develop}` has.\n\n"
        f"### Merge it\n\n"
        f"```sh\n"
        f"git fetch origin\n"
        f"git checkout -b {branch} origin/{branch}\n"
        f"git merge --no-edit origin/{develop}\n"
        f"# where it stops: keep {develop}'s own work, {hint}; then\n"
        f"git add --all && git commit --no-edit\n"
        f"git push origin {branch}\n"
        f"```\n\n{_merge_commit(sync)}\n" + (_by_hand(sync, objection, before) if sync.reverts else "")
    )
    return Proposal(sync.repository, branch, develop, f"Merge {sync.patch} into {develop} by hand", clipped(body, BODY))


def propose_merged(sync: SyncPlan) -> Proposal:
    """Ask people to let a finished merge into a protected develop."""
    branch, develop = sync.waits_on, sync.develop
    body = (
        f"{_what(sync)} `{develop}` is protected, so the merge waits on `{branch}`. It is finished: there was no "
        f"conflict, and the next release was tried with it, nothing is missing.\n\n"
        f"```sh\n"
        f"git fetch origin --tags\n"
        f"git diff --stat origin/{develop}...origin/{branch}\n"
        f"git merge-base --is-ancestor {sync.patch} origin/{branch} && echo {sync.patch} is in it\n"
        f"```\n\n{_merge_commit(sync)}\n"
    )
    return Proposal(sync.repository, branch, develop, f"Merge {sync.patch} into {develop}", body)


def propose_reland(sync: SyncPlan, reland: Reland) -> Proposal:
    """Keep the faulty release at hand as a draft, and say how it gets into the next release."""
    branch, develop = sync.relands_on, sync.develop
    body = (
        f"Its tree is exactly that of `{develop}` and `{sync.main}` merged as they were before the revert; both "
        f"commands print `{reland.tree}`:\n\n"
        f"```sh\n"
        f"git rev-parse {reland.commit}^{{tree}}\n"
        f"git merge-tree --write-tree {reland.before} {sync.pushed.parent}\n"
        f"```\n\n"
        f"**The fault is still in it.** Mend it here, on top, before this is merged or squashed into `{develop}`: "
        f"the next release takes what `{develop}` has.\n\n"
        f"```sh\n"
        f"git fetch origin\n"
        f"git checkout -b {branch} origin/{branch}\n"
        f"# mend the fault, commit\n"
        f"git push origin {branch}\n"
        f"```\n\n"
        f"Merge it with a merge commit and release `{develop}` as ever. The next release has {sync.faulty_tag} whole "
        f"then, and all that `{sync.main}` got besides: that merge was tried. A release made before does not have it. "
        f"Should this be closed and its branch deleted, `{_revert(sync)}` on a branch of `{develop}` does the same.\n"
    )
    title = clipped(f"Reapply release {sync.faulty_tag}, once it is mended", TITLE)
    brought = listed(f"{_what(sync)} This branch brings back what went:\n", named(sync.taken_out))
    text = composed([brought or f"{_what(sync)} This branch brings back what went.", body], BODY - 1) + "\n"
    return Proposal(sync.repository, branch, develop, title, text, draft=True)


def _what(sync: SyncPlan) -> str:
    what = "was taken out of" if sync.reverts else "was mended on"
    return (
        f"{sync.faulty_tag} of {sync.service} {what} `{sync.main}` as {sync.patch}, and `{sync.develop}` has to follow."
    )


def _by_hand(sync: SyncPlan, objection: Objection, before: str) -> str:
    branch, faulty, develop = sync.relands_on, sync.faulty_tag, sync.develop
    paths = " ".join(_in_a_shell(path) for path in objection.paths[:MOST])
    return (
        f"\n### Then bring {faulty} back, to be mended\n\n"
        f"```sh\n"
        f"git fetch origin\n"
        f"git checkout -b {branch} origin/{develop}\n"
        f"{_revert(sync, '--no-commit')}\n"
        f"# the files above as {develop} had them, its own work included; git rm those that it had not\n"
        f"git --literal-pathspecs checkout {before} -- {paths}\n"
        f"git commit -m 'Reapply release {faulty}'\n"
        f"git push origin {branch}\n"
        f"```\n\n"
        f"Mend the fault on `{branch}` and merge it into `{develop}`, with a merge commit. The next release has "
        f"{faulty} then; a release made before has nothing of it. What `git diff {before[:12]} {branch}` shows "
        f"must be what `{sync.main}` or `{develop}` got besides.\n"
    )


def _in_a_shell(path: str) -> str:
    """A path as a shell takes it. What git has quoted already it wrote as $'...' has it: \\303\\251, \\t, \\\"."""
    if not path.startswith('"'):
        return shlex.quote(path)
    return "$'" + path[1:-1].replace("'", "\\'") + "'"


def _revert(sync: SyncPlan, how: str = "--no-edit") -> str:
    mainline = "-m 1 " if sync.pushed.others else ""
    return f"git revert {how} {mainline}{sync.pushed.commit}"


def _merge_commit(sync: SyncPlan) -> str:
    lost = (
        f"takes {sync.faulty_tag} out once more: its features are missing from the next release"
        if sync.reverts
        else f"meets the change of {sync.patch} once more"
    )
    return (
        f"**Merge this pull request with a merge commit; do not squash or rebase it.** Only a merge records that "
        f"`{sync.develop}` has {sync.patch}. After a squash git does not know, and the next merge of "
        f"`{sync.develop}` and `{sync.main}` {lost}, without a conflict."
    )


def _bullets(paths: Sequence[str]) -> str:
    more = f"- and {len(paths) - MOST} more\n" if len(paths) > MOST else ""
    return "".join(f"- `{path}`\n" for path in paths[:MOST]) + more
