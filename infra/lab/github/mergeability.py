"""May a pull request be merged? GitHub's `mergeable`, its `mergeable_state`, and the words of its refusals."""

from dataclasses import dataclass

from infra.lab.github.bare import GitError
from infra.lab.github.contexts import complaint, contexts
from infra.lab.github.rules import QUEUE, REVIEW, Ground, approvals, protection, unsigned
from infra.lab.github.store import Document


@dataclass(frozen=True)
class Judgement:
    """What stands between a request and its base."""

    tree: str | None
    """The tree of the merge; None when there is a conflict."""
    lines: tuple[str, ...]
    """What the rules of the base ask for and do not have, in GitHub's words."""
    queued: bool
    """Only the merge queue may merge."""
    behind: bool
    """The base has commits that the head lacks, and its rules want a head that is up to date."""
    unstable: bool
    """A check that is not required has not passed."""
    ruleset: bool

    @property
    def state(self) -> str:
        """`mergeable_state` of a request that is no draft."""
        words = {"dirty": self.tree is None, "blocked": bool(self.lines), "behind": self.behind}
        words["unstable"] = self.unstable
        return next((word for word, holds in words.items() if holds), "clean")

    @property
    def refusal(self) -> str:
        """What the API answers to who merges all the same; empty when the rules allow it."""
        lines = (*((QUEUE,) if self.queued else ()), *self.lines)
        if not lines:
            return ""
        if self.ruleset:
            return "Repository rule violations found\n\n" + "".join(f"{line}\n\n" for line in lines)
        return " ".join(lines)


def judge(ground: Ground, pull: Document, base: str, head: str) -> Judgement:
    """Try the merge of these two commits, and read the rules."""
    rules = protection(ground, pull["base"])
    said = contexts(ground.store, ground.repository, head)
    unstable = any(word != "success" for word in said.values())
    tree = merged_tree(ground, base, head)
    if rules is None:
        return Judgement(tree, (), queued=False, behind=False, unstable=unstable, ruleset=False)
    lines = [REVIEW] if approvals(ground, pull) < rules["reviews"] else []
    if sentence := complaint(rules["required_checks"], said):
        lines.append(sentence)
    if rules["signatures"]:
        lines += unsigned(ground, rules, f"{base}..{head}")
    behind = rules["strict"] and not ground.bare.contains(head, base)
    queued = rules["merge_queue"]
    return Judgement(tree, tuple(lines), queued=queued, behind=behind, unstable=unstable, ruleset=rules["ruleset"])


def merged_tree(ground: Ground, one: str, other: str) -> str | None:
    """The tree of a merge without conflicts."""
    try:
        return ground.bare.git("merge-tree", "--write-tree", one, other).split()[0]
    except GitError:
        return None
