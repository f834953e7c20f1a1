"""A team's repository made and judged with plain git: two branches, a faulty release, its revert, the next release."""

from datetime import UTC, datetime
from pathlib import Path

from recovery.catalog import Service
from recovery.reverts import Commit, Pushed, RevertPlan
from tests.integration.plain_git import git, try_git

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
BETWEEN = "".join(f"# {n}\n" for n in range(6))


def text(**slots: str) -> str:
    """A file whose slots lie so far apart that a change of one never meets a change of another."""
    return "".join(f"{name} = {value!r}\n{BETWEEN}" for name, value in slots.items())


class Repository:
    """A bare `acme/shop.git` under `root` and the team's clone of it, with v1.1.0 on both branches."""

    def __init__(self, root: Path) -> None:
        """Make both, and the first release."""
        self.root = root
        self.bare, self.clone = root / "acme" / "shop.git", root / "clone"
        self.bare.mkdir(parents=True)
        self.clone.mkdir()
        git("init", "--quiet", "--bare", "--initial-branch=main", at=self.bare)
        for key in ("uploadpack.allowFilter", "uploadpack.allowAnySHA1InWant"):
            git("config", key, "true", at=self.bare)
        self.git("init", "--quiet", "--initial-branch=main")
        self.git("remote", "add", "origin", self.url)
        self.write("main", {"checkout": text(pay="card", ship="post", tax="19"), "README": "shop\n"})
        self.tag("v1.1.0")
        self.git("branch", "develop")
        self.push("main", "develop", "refs/tags/v1.1.0")

    @property
    def url(self) -> str:
        """Where it is cloned from."""
        return f"file://{self.bare}"

    def git(self, *args: str) -> str:
        """Plain git in the clone."""
        return git(*args, at=self.clone)

    def push(self, *refs: str) -> None:
        """Send refs of the clone to the bare repository."""
        self.git("push", "--quiet", "origin", *refs)

    def write(self, branch: str, files: dict[str, str | None], message: str = "Work") -> str:
        """One commit of the team; a file without contents is removed."""
        if self.git("branch", "--list", branch):
            self.git("checkout", "--quiet", branch)
        for name, content in files.items():
            path = self.clone / name
            if content is None:
                self.git("rm", "--quiet", name)
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
            self.git("add", name)
        self.git("commit", "--quiet", "-m", message)
        return self.git("rev-parse", "HEAD")

    def tag(self, name: str) -> None:
        """An annotated tag on what is checked out."""
        self.git("tag", "--annotate", "-m", f"Release {name}", name)

    def release(self, version: str, *, squash: bool = False) -> str:
        """Bring develop to main, tag it, push; the commit."""
        self.git("checkout", "--quiet", "main")
        if squash:
            self.git("merge", "--quiet", "--squash", "develop")
            self.git("commit", "--quiet", "-m", f"Release {version}")
        else:
            self.git("merge", "--quiet", "--no-ff", "-m", f"Release {version}", "develop")
        self.tag(version)
        self.push("main", "develop", f"refs/tags/{version}")
        return self.git("rev-parse", "HEAD")

    def revert(self, *paths: str, merge: bool = False) -> Pushed | None:
        """Take v1.2.0 out of main as v1.2.1 with `git cherry-pick` alone, or None where that conflicts."""
        before = self.git("rev-parse", "main")
        self.git("checkout", "--quiet", "-B", "undo", "v1.2.0^{commit}")
        self.git("rm", "-r", "--quiet", "--ignore-unmatch", "--", *(paths or (".",)))
        for path in paths or (".",):
            try_git("checkout", "--quiet", "v1.1.0^{commit}", "--", path, at=self.clone)  # what was not there is gone
        self.git("commit", "--quiet", "--allow-empty", "-m", "undo")
        self.git("checkout", "--quiet", "-B", "reverting", "main")
        if try_git("cherry-pick", "--no-commit", "undo", at=self.clone).returncode != 0:
            self.git("reset", "--quiet", "--hard")
            return None
        faulty = self.git("rev-parse", "v1.2.0^{commit}")
        self.git(
            "commit", "--quiet", "--allow-empty", "-m", f"Revert release v1.2.0\n\nReverts-Release: v1.2.0 {faulty}\n"
        )
        self.git("checkout", "--quiet", "main")
        self.git("merge", "--quiet", "--no-ff" if merge else "--ff-only", "-m", "Merge pull request #7", "reverting")
        self.tag("v1.2.1")
        self.push("main", "develop", "refs/tags/v1.2.1")
        commit, tree = self.git("rev-parse", "main", "main^{tree}").splitlines()
        others = tuple(self.git("log", "-1", "--format=%P", "main").split()[1:])
        return Pushed(commit, before, tree, "v1.2.1", (), "pushed", others)

    def plan(self) -> RevertPlan:
        """The plan that the revert followed."""
        faulty, stable = self.git("rev-parse", "v1.2.0^{commit}", "v1.1.0^{commit}").splitlines()
        return RevertPlan(
            service="shop", repository="acme/shop", main="main", tag_prefix="v",
            faulty_tag="v1.2.0", faulty_commit=faulty, stable_tag="v1.1.0", stable_commit=stable,
            patch_tag="v1.2.1", date=NOW, title="Revert release v1.2.0", because="checkout fails", reason="newest",
            taken_out=(Commit(faulty, "Release v1.2.0"),), kept=(), done_as="v1.2.1",
        )  # fmt: skip

    def refs(self) -> dict[str, str]:
        """Every ref of the bare repository."""
        listed = git("for-each-ref", "--format=%(refname) %(objectname)", at=self.bare)
        pairs = (line.split() for line in listed.splitlines())
        return {ref.removeprefix("refs/"): commit for ref, commit in pairs}

    def merged(self, ours: str, *theirs: str) -> str | None:
        """The tree that `git merge` in a checkout makes of these, one after the other; None where it conflicts."""
        self.git("fetch", "--quiet", "origin")
        self.git("checkout", "--quiet", "--detach", ours)
        for each in theirs:
            if try_git("merge", "--quiet", "--no-edit", each, at=self.clone).returncode != 0:
                self.git("merge", "--abort")
                return None
        return self.git("rev-parse", "HEAD^{tree}")

    def next_release(self, *, reland: bool) -> str:
        """The tree of main after the re-land's merge into develop, if wanted, and develop's into main."""
        self.git("fetch", "--quiet", "origin")
        self.git("checkout", "--quiet", "--detach", "origin/develop")
        if reland:
            self.git("merge", "--quiet", "--no-ff", "--no-edit", "origin/reland/v1.2.0")
        self.git("checkout", "--quiet", "--detach", "origin/main")
        self.git("merge", "--quiet", "--no-ff", "--no-edit", "@{-1}")
        return self.git("rev-parse", "HEAD^{tree}")

    def shown(self, revision: str, name: str) -> str:
        """A file's contents, empty where there is none."""
        return try_git("show", f"{revision}:{name}", at=self.clone).stdout


def service(develop: str | None = "develop") -> Service:
    """The catalogue's entry."""
    return Service(name="shop", namespace="acme", repository="acme/shop", develop=develop)
