"""Push refs all or none, and what a push that changed nothing means."""

from enum import Enum

from recovery.errors import Refused
from recovery.reverts import RevertPlan
from recovery.tags import in_the_way
from tasks.credentials import named
from tasks.git.opening import forget
from tasks.git.plumbing import Repository, failure

_RESTRICTED = "creations being restricted"
MOST_BURNED = 20  # names that a repository declines one after the other before it is taken for a rule on all of them
_PROTECTED = ("protected branch", "GH006", "GH013", "through a pull request")
_SIGNATURE = ("verified signature",)
_WORKFLOWS = ("workflows` permission", "`workflow` scope")
_FORBIDDEN = ("hook declined", "rule violations", "refusing to allow", "ermission")
_MOVED = (
    "stale info", "non-fast-forward", "fetch first", "already exists", "failed to update ref", "cannot lock ref",
    "atomic transaction failed",
)  # fmt: skip
_AMBIGUOUS = ("matches more than one",)
_DENIED = ("Permission to ",)
_OLD_SERVER = ("does not support --atomic",)


class Lost(Enum):
    """Why a push changed nothing and what follows."""

    MOVED = "main moved or the tag was taken meanwhile"
    BURNED = "the tag's name is declined, as one is that an immutable release had"
    PROTECTED = "main takes no push"


def push_refs(bare: Repository, plan: RevertPlan, patch: str, *refspecs: str) -> Lost | None:
    """Push all refs or none, the tag only where there is none of its name; says what stood against it.

    Nothing is pushed either where the faulty tag is not what it was when we looked: it is named, unchanged, with a
    lease, and git sends nothing for a ref that is as it should be (set_ref_status_for_push in its remote.c).
    """
    faulty = f"refs/tags/{plan.faulty_tag}"
    leases = (f"--force-with-lease=refs/tags/{patch}:", f"--force-with-lease={faulty}:{bare.listed[faulty]}")
    forget(bare.url)
    status, out, err = bare.answer(
        "push", "--atomic", "--porcelain", *leases, bare.url, *refspecs, f"{bare.listed[faulty]}:{faulty}"
    )
    told = f"{out}\n{err}"  # --porcelain tells each ref's fate on standard output
    if status == 0:
        return None
    if is_burned(told, patch):
        return Lost.BURNED
    if any(sign in told for sign in (*_SIGNATURE, *_WORKFLOWS, *_AMBIGUOUS, *_OLD_SERVER)):
        raise refusal(bare, plan.main, status, told)
    if any(sign in told for sign in _PROTECTED):
        return Lost.PROTECTED
    if any(sign in told for sign in _MOVED):
        return Lost.MOVED
    raise refusal(bare, plan.main, status, told)


def need_room(bare: Repository, *branches: str) -> None:
    """Refuse what Git cannot keep beside a branch that is there, and name that: the push would only say "failed"."""
    names = [each.removeprefix("refs/heads/") for each in bare.listed if each.startswith("refs/heads/")]
    for branch in branches:
        if other := in_the_way(branch, names):
            raise Refused(
                f"the branch {other} of {bare.name or bare.url} stands in the way of {branch}, Git keeps branches like "
                "files: rename it, and try again"
            )


def lost_by(told: str) -> Lost | None:
    """Why refs were not pushed, none of which has to be: we may not, or they moved; None for anything else."""
    if any(sign in told for sign in (*_PROTECTED, *_FORBIDDEN)):
        return Lost.PROTECTED
    return Lost.MOVED if any(sign in told for sign in _MOVED) else None


def lacks_workflows(told: str) -> bool:
    """Whether nothing that touches workflows is taken from us, on whatever branch: no other way leads around it."""
    return any(sign in told for sign in _WORKFLOWS)


def is_burned(told: str, tag: str) -> bool:
    """Whether the Git host will never create this tag, though there is none: an immutable release had its name.

    GitHub says the same of a tag that a rule does not let us create; then it says so of every other name, too.
    """
    return f"violations found for refs/tags/{tag}." in told and _RESTRICTED in told


def all_burned(url: str, burned: set[str]) -> Refused:
    """The sentence for a repository that declines every number."""
    names = sorted(burned)
    return Refused(
        f"{url} creates none of the tags {names[0]} to {names[-1]}: a rule restricts them, let the account of "
        f"{named()} bypass it"
    )


def refusal(bare: Repository, branch: str, status: int, told: str) -> Exception:
    """One of our errors for what the Git host said."""
    said = " ".join(told.split())[-300:]
    ways = {
        _WORKFLOWS: f"give {named()} the permission Workflows: write, what we push touches .github/workflows",
        _SIGNATURE: "set RIPCORD_SIGNING_KEY and add its public half to the account of the token",
        _AMBIGUOUS: f"a branch or tag is named refs/heads/{branch} in full, which git cannot tell from it: delete that",
        _DENIED: f"check {named()} and its permissions, it needs Contents: write for this repository",
        _OLD_SERVER: "the Git host cannot push branch and tag together, which a recovery needs",
    }
    for signs, way in ways.items():
        if any(sign in told for sign in signs):
            return Refused(f"{bare.url} does not let us push to {branch}: {way} ({said})")
    if any(sign in told for sign in (*_FORBIDDEN, *_PROTECTED)):
        return Refused(f"{bare.url} does not let us push to {branch}: {said}")
    return failure(bare.url, "push", status, told)
