"""A team's history, told by plain git commands in a clone and published to the remote."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from recovery.releases import Release
from tests.histories.chain import End, check_proof, claimed, literal, released, service_of, take_out
from tests.histories.remote import Remote, git

Contents = Mapping[str, str | bytes | None]


def lines(*changed: str) -> str:
    """Forty lines, some of them as told (`7: text`)."""
    said = {number: text for number, _, text in (each.partition(": ") for each in changed)}
    return "".join(f"{said.get(str(number), f'line {number}')}\n" for number in range(1, 41))


@dataclass
class Story:
    """A clone to work in, and the remote it is pushed to."""

    remote: Remote
    desk: Path
    releases: list[Release] = field(default_factory=lambda: released("v1.0.0", "v1.1.0", "v1.2.0"))
    catalogue: dict[str, object] = field(default_factory=dict)

    def begin(self) -> "Story":
        """Two releases that were fine."""
        self.desk.mkdir()
        self.git("init", "--quiet", "--initial-branch=main")
        self.git("config", "core.hooksPath", "/dev/null")
        self.commit("Begin", {"app.py": lines(), "cart.py": lines("1: cart"), "README.md": "shop\n"})
        self.tag("v1.0.0")
        self.merge("stable", {"stock.py": lines("1: stock")})
        self.tag("v1.1.0")
        return self

    def git(self, *args: str) -> str:
        """Run plain git at the desk."""
        return git(self.desk, *args)

    def write(self, contents: Contents) -> None:
        """Write files, and remove those that are None."""
        for name, content in contents.items():
            path = self.desk / name
            if content is None:
                path.unlink()
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode() if isinstance(content, str) else content)

    def commit(self, title: str, contents: Contents | None = None, *more: str) -> str:
        """Commit all that lies on the desk."""
        self.write(contents or {})
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "-m", title, *more)
        return self.git("rev-parse", "HEAD")

    def branch(self, name: str, at: str = "main") -> None:
        """Go on from there on a new branch."""
        self.git("checkout", "--quiet", "-b", name, at)

    def on(self, name: str) -> None:
        """Go on there."""
        self.git("checkout", "--quiet", name)

    def merge(self, name: str, contents: Contents, at: str = "main") -> str:
        """A branch of one commit, merged into main as a pull request is."""
        self.branch(name, at)
        self.commit(f"Work on {name}", contents)
        self.on("main")
        self.git("merge", "--quiet", "--no-ff", "-m", f"Merge {name}", name)
        return self.git("rev-parse", "HEAD")

    def tag(self, name: str, at: str = "HEAD") -> None:
        """An annotated tag."""
        self.git("tag", "-a", "-m", name, "--end-of-options", name, at)

    def faulty(self, contents: Contents | None = None) -> None:
        """The faulty release v1.2.0, by one merge."""
        self.merge("coupons", contents or {"app.py": lines("20: coupons"), "coupons.py": lines("1: coupons")})
        self.tag("v1.2.0")

    def publish(self) -> None:
        """Push every branch and tag."""
        self.git("push", "--quiet", "--force", f"file://{self.remote.path}", "refs/heads/*:refs/heads/*",
                 "refs/tags/*:refs/tags/*")  # fmt: skip

    def take_out(self, tag: str = "v1.2.0", to: str | None = None, deployed: str | None = None) -> End:
        """Run the whole chain on what is published."""
        return take_out(service_of(self.remote, **self.catalogue), tag, self.releases, to, deployed)

    def ends_well(self, kept: Contents | None = None, tag: str = "v1.2.0", stable: str = "v1.1.0") -> str:
        """The release goes out, only `kept` differs from the stable one; answers what the literal command gives.

        The commit's own claim of that command is held against the command; the proof against a fresh clone; the
        chain is run a second time.
        """
        self.publish()
        faulty = self.remote.git("rev-parse", f"refs/tags/{tag}")
        end = self.take_out(tag)
        assert end.plan, end
        assert end.pushed, end
        assert end.proof, end
        patch = f"refs/tags/{end.pushed.tag}"
        differing = self.remote.git("diff", "--no-renames", "--name-only", stable, patch).splitlines()
        assert sorted(differing) == sorted(kept or {})
        for name, content in (kept or {}).items():
            if content is not None:
                assert self.remote.git("show", f"{patch}:{name}") == str(content).strip()
        assert self.remote.git("rev-parse", f"refs/tags/{tag}") == faulty
        self.remote.git("merge-base", "--is-ancestor", patch, "main")
        scratch = self.desk.parent
        check_proof(self.remote, end.proof, scratch / "proof")
        given = literal(self.remote, end.plan, end.pushed, scratch / "literal")
        assert claimed(self.remote, end.pushed) == given
        before = self.remote.refs()
        again = self.take_out(tag)
        assert again.pushed, again
        assert again.pushed.tag == end.pushed.tag
        assert self.remote.refs() == before
        return given[0]

    def ends_untouched(self, tag: str = "v1.2.0", to: str | None = None, deployed: str | None = None) -> End:
        """Nothing is pushed and every ref stays."""
        self.publish()
        before = self.remote.refs()
        end = self.take_out(tag, to, deployed)
        assert end.pushed is None
        assert self.remote.refs() == before
        return end
