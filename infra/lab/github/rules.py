"""What protects branches and tags, and what GitHub says to who breaks a rule.

A protection is of the older kind (GH006, invisible to who is no administrator) or a ruleset (GH013, listed for
every reader); both ask the same.
"""

from dataclasses import dataclass
from urllib.parse import quote

from infra.lab.github.bare import Bare
from infra.lab.github.contexts import complaint, contexts
from infra.lab.github.signing import unverified
from infra.lab.github.store import ZERO, Document, RefChange, Store

QUEUE = "Changes must be made through the merge queue"
PULL_REQUEST = "Changes must be made through a pull request."
SIGNATURES = "Commits must have verified signatures."
REVIEW = "At least 1 approving review is required by reviewers with write access."
RESERVED = "Cannot create ref due to creations being restricted."


@dataclass(frozen=True)
class Ground:
    """Where rules apply: one repository and what GitHub knows of it."""

    store: Store
    bare: Bare
    repository: str


@dataclass(frozen=True)
class Refusal:
    """Why a ref may not change. `code` is GH006, GH013 or empty for one that is said in the reason alone."""

    code: str
    lines: tuple[str, ...]

    @property
    def reason(self) -> str:
        """What git shows in brackets after `! [remote rejected]`."""
        declined = {
            "GH006": "protected branch hook declined",
            "GH013": "push declined due to repository rule violations",
        }
        return declined.get(self.code) or self.lines[0]

    @property
    def message(self) -> str:
        """The same for the REST API."""
        if self.code == "GH013":
            return "Repository rule violations found\n\n" + "".join(f"{line}\n\n" for line in self.lines)
        return " ".join(self.lines)

    def spoken(self, ref: str, html: str) -> list[str]:
        """What git shows after `remote:`, line by line."""
        # What guards the tags of immutable releases is in no list of rules.
        listed = [f"Review all repository rules at {html}/rules?ref={quote(ref, safe='')}"]
        heads = {
            "GH006": [f"error: GH006: Protected branch update failed for {ref}.", ""],
            "GH013": [
                f"error: GH013: Repository rule violations found for {ref}.",
                *(listed if ref.startswith("refs/heads/") else []),
                "",
            ],
        }
        head = heads.get(self.code, [])
        return [*head, *(text for line in self.lines for text in (f"- {line}", ""))] if head else []


def protection(ground: Ground, branch: str) -> Document | None:
    """The rules of a branch."""
    return ground.store.first("protection", ground.repository, branch=branch)


def watched(store: Store, repository: str, user: Document) -> bool:
    """Answer whether any push of a user could be refused: only then a push is looked at."""
    kinds = ("protection", "reserved_tag")
    return not user.get("workflows", True) or any(store.first(kind, repository) for kind in kinds)


def refuses(ground: Ground, user: Document, change: RefChange) -> Refusal | None:
    """Why a user may not change a ref so, by git or by the API; None when nothing is in the way."""
    if path := _workflow(ground, user, change):
        return Refusal("", (workflow_sentence(user, path),))
    if change.name.startswith("refs/tags/"):
        return _tag(ground, change)
    rules = protection(ground, change.name.removeprefix("refs/heads/"))
    if rules is None or change.before == ZERO:
        return None
    lines = _broken(ground, rules, change)
    return Refusal("GH013" if rules["ruleset"] else "GH006", tuple(lines)) if lines else None


def workflow_sentence(user: Document, path: str) -> str:
    """GitHub's words to a token that may not touch workflows."""
    if user.get("account") == "Bot":
        who, what = "a GitHub App", "`workflows` permission"
    else:
        who, what = "a Personal Access Token", "`workflow` scope"
    return f"refusing to allow {who} to create or update workflow `{path}` without {what}"


def _workflow(ground: Ground, user: Document, change: RefChange) -> str:
    """The first workflow file that commits new to the repository touch, if the user may touch none."""
    if user.get("workflows", True) or change.after == ZERO:
        return ""
    span = [change.after, "--not", "--all"]
    listing = ground.bare.git("log", "-c", "--format=", "--name-only", *span, "--", ".github/workflows")
    return next((line for line in listing.splitlines() if line), "")


def _tag(ground: Ground, change: RefChange) -> Refusal | None:
    name = change.name.removeprefix("refs/tags/")
    if ground.store.first("reserved_tag", ground.repository, tag_name=name) is None:
        return None
    if change.before == ZERO:
        return Refusal("GH013", (RESERVED,))
    if not ground.store.first("release", ground.repository, tag_name=name, immutable=True):
        # Its release is gone: the tag may go too, but never come back.
        return None if change.after == ZERO else Refusal("GH013", ("Cannot update this protected ref.",))
    return Refusal(
        "GH013", ("Cannot delete this tag" if change.after == ZERO else "Cannot update this protected ref.",)
    )


def _broken(ground: Ground, rules: Document, change: RefChange) -> list[str]:
    if change.after == ZERO:
        return ["Cannot delete this branch"]
    if not ground.bare.contains(change.after, change.before):
        return ["Cannot force-push to this branch"]
    lines = [QUEUE] if rules["merge_queue"] else []
    if rules["pull_request"] and not _by_request(ground, rules, change.after):
        lines.append(PULL_REQUEST)
    said = contexts(ground.store, ground.repository, change.after)
    if sentence := complaint(rules["required_checks"], said):
        lines.append(sentence)
    if rules["signatures"]:
        lines += unsigned(ground, rules, f"{change.before}..{change.after}")
    return lines


def _by_request(ground: Ground, rules: Document, sha: str) -> bool:
    """A commit that an open, ready and approved request brings may also be pushed, as a fast-forward."""
    requests = ground.store.all("pull", ground.repository, base=rules["branch"], state="open", draft=False)
    heads = [pull for pull in requests if ground.bare.commit_of(f"heads/{pull['head']}") == sha]
    return any(approvals(ground, pull) >= rules["reviews"] for pull in heads)


def approvals(ground: Ground, pull: Document) -> int:
    """How many people approve of a request."""
    reviews = ground.store.all("review", ground.repository, number=pull["number"])
    last = {review["user"]: review["state"] for review in reviews if review["user"] != pull["user"]}
    return list(last.values()).count("APPROVED")


def unsigned(ground: Ground, rules: Document, span: str) -> list[str]:
    """The complaint about commits that nobody can vouch for; a ruleset also names them."""
    shas = ground.bare.git("rev-list", span).split()
    bad = unverified(ground.store, ground.bare, ground.repository, shas)
    if not bad or not rules["ruleset"]:
        return [SIGNATURES] if bad else []
    found = f"  Found {len(bad)} violation{'s' if len(bad) > 1 else ''}:"
    return ["\n".join([SIGNATURES, found, "", *(f"  {sha}" for sha in bad)])]
