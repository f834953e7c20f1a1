"""Push refs all or none, and what a push that changed nothing means."""

from enum import Enum

from recovery.errors import Refused
from recovery.reverts import RevertPlan
from tasks.git.plumbing import Repository, failure

_BURNED = ("immutable release",)
_PROTECTED = ("protected branch", "GH006", "GH013", "through a pull request")
_SIGNATURE = ("verified signature",)
_WORKFLOWS = ("workflows` permission", "`workflow` scope")
_FORBIDDEN = ("pre-receive hook declined", "permission", "hook declined")
_MOVED = ("stale info", "non-fast-forward", "fetch first", "failed to update ref", "cannot lock ref")
_AMBIGUOUS = ("matches more than one",)
_OLD_SERVER = ("does not support --atomic",)


class Lost(Enum):
    """Why a push changed nothing and what follows."""

    MOVED = "main moved or the tag was taken meanwhile"
    BURNED = "the tag's name was used by an immutable release"
    PROTECTED = "main takes no push"


def push_refs(bare: Repository, plan: RevertPlan, patch: str, *refspecs: str) -> Lost | None:
    """Push all refs or none, the tag only where there is none of its name; says what stood against it."""
    lease = f"--force-with-lease=refs/tags/{patch}:"
    status, out, err = bare.answer("push", "--atomic", "--porcelain", lease, bare.url, *refspecs)
    told = f"{out}\n{err}"  # --porcelain tells each ref's fate on standard output
    if status == 0:
        return None
    if any(sign in told for sign in _BURNED):
        return Lost.BURNED
    if any(sign in told for sign in (*_SIGNATURE, *_WORKFLOWS, *_AMBIGUOUS, *_OLD_SERVER)):
        raise refusal(bare, plan, plan.main, status, told)
    if any(sign in told for sign in _PROTECTED):
        return Lost.PROTECTED
    if any(sign in told for sign in _MOVED):
        return Lost.MOVED
    raise refusal(bare, plan, plan.main, status, told)


def refusal(bare: Repository, plan: RevertPlan, branch: str, status: int, told: str) -> Exception:
    """One of our errors for what the Git host said."""
    said = " ".join(told.split())[-300:]
    ways = {
        _WORKFLOWS: "give RIPCORD_GITHUB_TOKEN the permission Workflows: write, the release touches .github/workflows",
        _SIGNATURE: "set RIPCORD_SIGNING_KEY and add its public half to the account of the token",
        _AMBIGUOUS: f"a branch or tag is named refs/heads/{branch} in full, which git cannot tell from it: delete that",
        _OLD_SERVER: "the Git host cannot push branch and tag together, which a recovery needs",
    }
    for signs, way in ways.items():
        if any(sign in told for sign in signs):
            return Refused(f"{bare.url} does not let us push to {branch}: {way} ({said})")
    if any(sign in told for sign in (*_FORBIDDEN, *_PROTECTED)):
        return Refused(f"{bare.url} does not let us push to {branch}: {said}")
    return failure(bare.url, "push", status, told)
