"""Random teams: whatever they did, develop is synchronised with nothing missing, or left as it was."""

import tempfile
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st
from prefect.logging import disable_run_logger

from recovery.reverts import Pushed
from recovery.syncs import Synced
from tasks.git.sync import sync_develop
from tests.integration.plain_git import git, try_git
from tests.integration.releasing import Repository, service, text

SLOTS = ("a", "b", "c")
NAMES = ("one", "two", "three", "four")
KNOWN = settings(
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
    phases=(Phase.generate,),  # a history takes a second: shrinking one would take minutes
)


class Team:
    """Writes what nobody wrote before, so that every piece of work can be looked for."""

    def __init__(self, shop: Repository) -> None:
        """Start with files that both branches have."""
        self.shop, self.count = shop, 0
        shop.write("main", {name: text(**{slot: f"first-{name}-{slot}" for slot in SLOTS}) for name in NAMES[:3]})
        shop.git("tag", "--force", "--annotate", "-m", "Release", "v1.1.0")
        shop.git("branch", "--force", "develop", "main")

    def edit(self, branch: str, kind: str, name: str, slot: str) -> str:
        """One commit: a slot of a file is written, or a file added, removed or renamed; says what to look for."""
        self.count += 1
        token = f"{branch}-{self.count}"
        self.shop.git("checkout", "--quiet", branch)
        path = self.shop.clone / name
        if kind == "add" or not path.exists():
            self.shop.write(branch, {f"new-{token}": text(a=token)})
        elif kind == "remove":
            self.shop.write(branch, {name: None})
        elif kind == "rename":
            self.shop.git("mv", name, f"moved-{token}")
            self.shop.git("commit", "--quiet", "-m", "Rename")
        else:
            lines = path.read_text().splitlines(keepends=True)
            self.shop.write(
                branch, {name: "".join(f"{slot} = {token!r}\n" if x.startswith(slot) else x for x in lines)}
            )
        return f"'{token}'"

    def back(self) -> None:
        """Merge main into develop, as teams do after a hotfix; leave it where it conflicts."""
        self.shop.git("checkout", "--quiet", "develop")
        if try_git("merge", "--quiet", "--no-edit", "main", at=self.shop.clone).returncode != 0:
            self.shop.git("merge", "--abort")


EDIT = st.tuples(
    st.sampled_from(["write"] * 6 + ["add", "add", "remove", "rename"]), st.sampled_from(NAMES), st.sampled_from(SLOTS)
)
WORK = st.lists(EDIT, max_size=2)
FIRST = st.lists(EDIT, min_size=1, max_size=4)
LATER = st.lists(st.tuples(st.sampled_from(["main", "develop", "develop", "back"]), EDIT), max_size=4)


def check(
    first: list[tuple[str, str, str]],
    hotfix: list[tuple[str, str, str]],
    later: object,
    way: str,
    ends: Counter[str],
) -> None:
    """Live through one history, hold what came out against plain git, and count how it ended."""
    with tempfile.TemporaryDirectory() as directory, pytest.MonkeyPatch.context() as patch, disable_run_logger():
        patch.setenv("RIPCORD_GITHUB_GIT_URL", f"file://{directory}")
        shop = Repository(Path(directory))
        team = Team(shop)
        for edit in hotfix:
            team.edit("main", *edit)
        for edit in first:
            team.edit("develop", *edit)
        shop.git("checkout", "--quiet", "main")
        options = ["--squash"] if way == "squash" else ["--no-ff", "--no-edit"]
        assume(try_git("merge", "--quiet", *options, "develop", at=shop.clone).returncode == 0)
        shop.git("commit", "--quiet", "--allow-empty", "-m", "Prepare v1.2.0")
        shop.tag("v1.2.0")
        tokens = []
        for branch, edit in later:  # type: ignore[attr-defined]
            if branch == "back":
                team.back()
            else:
                tokens.append(team.edit(branch, *edit))
        own, before = shop.git("rev-parse", "develop", "main").splitlines()
        pushed = shop.revert()
        assume(pushed is not None)
        assert pushed is not None
        assume(pushed.tree != shop.git("rev-parse", f"{before}^{{tree}}"))
        refs = shop.refs()

        done = sync_develop.fn(service(), shop.plan(), pushed)

        ends["pushed" if done.develop else "left to people"] += 1
        if done.develop:
            assert_nothing_is_missing(shop, done, pushed, own, before, tokens)
        else:
            assert shop.refs() == refs | {"heads/sync/v1.2.1": pushed.commit}
            assert [proposal.head for proposal in done.proposals] == ["sync/v1.2.1"]
            assert_somebody_had_to_look(shop, done, pushed, own, before)


def assert_nothing_is_missing(
    shop: Repository, done: Synced, pushed: Pushed, own: str, before: str, tokens: list[str]
) -> None:
    """The trees are those of `git merge`; all that came after the release is in the next one, with and without it."""
    whole = shop.merged(own, before)
    assert shop.merged(own, pushed.commit) == shop.git("rev-parse", f"{done.develop}^{{tree}}")
    assert shop.refs()["heads/develop"] == done.develop
    assert whole == shop.next_release(reland=done.reland is not None)
    shop.next_release(reland=False)
    left = {token for token in tokens if try_git("grep", "-q", "-F", token, str(whole), at=shop.clone).returncode == 0}
    lost = {token for token in left if try_git("grep", "-q", "-F", token, "HEAD", at=shop.clone).returncode != 0}
    assert not lost
    for proposal in done.proposals:
        assert shop.git("rev-parse", f"{done.reland}^{{tree}}") in proposal.body
    git("fsck", "--strict", at=shop.bare)


def assert_somebody_had_to_look(shop: Repository, done: Synced, pushed: Pushed, own: str, before: str) -> None:
    """Plain git conflicts as well, or gives something else when the revert is reverted on the merged develop."""
    whole, synced = shop.merged(own, before), shop.merged(own, pushed.commit)
    if whole is None or synced is None:
        return
    shop.merged(own, pushed.commit)
    reverted = try_git("revert", "--no-edit", pushed.commit, at=shop.clone)
    tree = shop.git("rev-parse", "HEAD^{tree}")
    shop.git("reset", "--quiet", "--hard")
    assert reverted.returncode != 0 or tree != whole, done.said


def check_many(way: str, number: int, known: settings) -> None:
    """Live through so many histories; most of them need nobody, and some need people."""
    ends = Counter[str]()

    @given(FIRST, WORK, LATER)
    @settings(known, max_examples=number)
    def live(first: list[tuple[str, str, str]], hotfix: list[tuple[str, str, str]], later: list[object]) -> None:
        check(first, hotfix, later, way, ends)

    live()
    assert ends["pushed"] >= number // 3, ends
    assert ends["left to people"] >= 1, ends


@pytest.mark.parametrize("way", ["merge", "squash"])
def test_nothing_is_ever_missing(way: str) -> None:
    """Either develop is pushed and plain git finds all work, or every ref stays and people are asked with cause."""
    check_many(way, 15, settings(KNOWN, derandomize=True))


@pytest.mark.torture
@pytest.mark.parametrize("way", ["merge", "squash"])
def test_nothing_is_ever_missing_in_many_teams(way: str) -> None:
    """The same, for hundreds of histories."""
    check_many(way, 400, KNOWN)
