"""Histories drawn at random: each ends with the one right tree, or is handed to people with every ref as it was."""

import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from prefect.logging import disable_run_logger

from recovery.reverts import Pushed, RevertPlan
from recovery.ways import Way
from tasks.git.kept import Kept
from tasks.git.reading import unquoted
from tests.histories import oracle
from tests.histories.chain import End, check_proof, claimed, literal, planned_on_all, service_of, take_out
from tests.histories.drawing import DEVELOPS, draw_case
from tests.histories.model import Case, files
from tests.histories.oracle import OVERLAP, Expected, Verdict, expect
from tests.histories.remote import Remote, Tip, git
from tests.histories.sequel import LACKS_NOTHING, TO_PEOPLE, check_next_release
from tests.histories.streams import stream
from tests.histories.traits import ALL, ON_TOP, traits

USUALLY = 300
TORTURE = int(os.environ.get("RIPCORD_HISTORIES", "10000"))
SEED = os.environ.get("RIPCORD_SEED")  # one of the slices in which it may be done; unset: the whole
AGAIN = os.environ.get("RIPCORD_HISTORY")  # the number that a failure told: these two histories and no other
AGAIN_BY = f"again: RIPCORD_HISTORY={{}} .venv/bin/python -m pytest {__file__} -k test_every_history_ends_right"
# What must be said of each reason why a release is not taken out.
SAID = {
    oracle.NOT_ON_MAIN: "is not on main of",
    oracle.NO_STABLE: "no stable release before",
    oracle.SAME_COMMIT: "are tags of the same commit",
    oracle.ELSEWHERE: "and was made elsewhere: going back to",
    oracle.BUILT_ON: "was released on top of",
    oracle.NOTHING: "there is nothing to take back, look for the cause elsewhere",
    oracle.OVERLAP: "cannot be taken out of main mechanically, later commits touch the same lines of",
    oracle.BY_LINES: "it would merge by lines what .gitattributes does not let",
}
MAY_SAY = (SAID[oracle.OVERLAP], "cannot be taken out cleanly")
QUIETLY = settings(
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=(Phase.generate,),  # a history comes from one number, and a smaller number is no smaller history
)


@dataclass
class Bench:
    """A directory for remotes, and how the cases ended."""

    root: Path
    numbers: Iterator[int] = field(default_factory=count)
    ends: Counter[str] = field(default_factory=Counter)
    drawn: Counter[str] = field(default_factory=Counter)
    taken_out: Counter[str] = field(default_factory=Counter)
    developed: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)

    @property
    def kept(self) -> Path:
        """Where the product keeps what it fetched."""
        return self.root / "kept"

    def clear(self) -> None:
        """Count anew."""
        for counted in (self.ends, self.drawn, self.taken_out, self.developed, self.reasons):
            counted.clear()

    def publish(self, case: Case) -> Remote:
        """The case as a repository of its own."""
        remote = Remote(self.root, f"acme/case{next(self.numbers)}")
        shutil.copytree(self.root / f"empty/{'partial' if case.partial else 'whole'}.git", remote.path)
        git(remote.path, "fast-import", "--quiet", "--force", given=stream(case))
        return remote


@pytest.fixture(name="bench", scope="module")
def _bench() -> Iterator[Bench]:
    """One directory for all cases; each case removes its own repository."""
    with (
        tempfile.TemporaryDirectory(prefix="ripcord-histories-") as directory,
        pytest.MonkeyPatch.context() as patch,
    ):
        bench = Bench(Path(directory))
        for kind in ("partial", "whole"):
            remote = Remote(bench.root, f"empty/{kind}").make(partial=kind == "partial")
            shutil.rmtree(remote.path / "hooks", ignore_errors=True)
        patch.setattr(tempfile, "tempdir", directory)
        for name in [each for each in os.environ if each.startswith("GIT_")]:
            patch.delenv(name)  # any of them costs a process more per command, which clears it away
        patch.setenv("RIPCORD_GITHUB_GIT_URL", f"file://{directory}")
        patch.setenv("RIPCORD_GIT_CACHE", str(bench.kept))
        yield bench


@pytest.mark.timeout(1800)
def test_every_history_ends_right(bench: Bench) -> None:
    """Three hundred of them."""
    examine_many(bench, USUALLY)


@pytest.mark.torture
@pytest.mark.timeout(24 * 3600)
def test_every_one_of_many_histories_ends_right(bench: Bench) -> None:
    """Ten thousand of them, or the slice that was asked for."""
    examine_many(bench, TORTURE, SEED)


def examine_many(bench: Bench, number: int, slice_of: str | None = None) -> None:
    """Draw and examine so many cases, two at a time; all kinds of ends and of histories must be among them."""
    bench.clear()

    @given(drawn=st.integers(0, 2**63 - 1) if AGAIN is None else st.just(int(AGAIN)))
    @settings(QUIETLY, max_examples=number // 2)
    def examine_two(drawn: int) -> None:
        random = Random(drawn)
        pair = [pool.submit(examine, bench, case) for case in (draw_case(random), draw_case(random))]
        try:
            for done in pair:
                done.result()
        except Exception as error:
            error.add_note(AGAIN_BY.format(drawn))
            raise

    with ThreadPoolExecutor(2) as pool, disable_run_logger():  # once for both threads: it is one switch
        (seed(int(slice_of))(examine_two) if slice_of else examine_two)()
    if AGAIN is None:
        check_shares(bench, number, number // 1000 if slice_of else 1)


def check_shares(bench: Bench, number: int, least: int) -> None:
    """Every kind of end and of history was among them, and what is right for machines was not left to people."""
    common = ("taken out", "read in part", Verdict.HOTFIX, Verdict.REFUSED, LACKS_NOTHING, TO_PEOPLE)
    assert all(bench.ends[end] >= number // 50 for end in common), bench.ends
    assert bench.ends[LACKS_NOTHING] >= number // 12, bench.ends
    assert all(bench.taken_out[trait] >= least for trait in ALL), bench.taken_out
    assert bench.drawn[ON_TOP] >= least, bench.drawn
    assert all(bench.reasons[why] >= least for why in {*SAID} - {oracle.NO_STABLE}), bench.reasons
    assert all(bench.developed[f"develop {each}: {LACKS_NOTHING}"] >= least for each in {*DEVELOPS} - {"absent"}), (
        bench.developed
    )


def examine(bench: Bench, case: Case) -> None:
    """Run the chain on one case, twice, and hold the end against the model."""
    remote = bench.publish(case)
    kept = Kept(bench.kept, f"file://{remote.path}")
    try:
        expected = expect(case)
        bench.drawn.update(traits(case))
        before = remote.tips()
        service = service_of(remote, **case.catalogue)
        sometimes = len(case.nodes) % 3 == 0  # what costs much and seldom tells more is done for a third of them
        whole = planned_on_all(service, case.faulty, case.releases) if sometimes else None
        kept.forget()  # what follows reads as little as it may
        end = take_out(service, case.faulty, case.releases)
        told = f"{expected} {end} {case.story}"
        if whole is not None:
            assert whole == (end.plan or end.refused) or (end.plan is None and isinstance(whole, RevertPlan)), told
        if end.pushed is None:
            assert remote.tips() == before
            bench.ends[check_handed(expected, end, told)] += 1
            bench.reasons[expected.why] += 1
            return
        assert expected.tree is not None, told
        assert end.proof
        compare(remote, expected, end.pushed, before, told)
        seen = remote.path / "fresh"
        check_proof(remote, end.proof, seen)
        assert end.plan
        given = literal(remote, end.plan, end.pushed, seen)
        assert claimed(remote, end.pushed) == given, told
        after = remote.refs()
        again = take_out(service, case.faulty, case.releases, proved=sometimes)
        bench.ends["read in part"] += kept.extent.since != ""
        assert again.pushed, told
        assert (again.pushed.tag, again.pushed.commit) == (end.pushed.tag, end.pushed.commit), told
        assert remote.refs() == after
        bench.ends["taken out"] += 1
        bench.taken_out.update(traits(case))
        if case.develops:
            ended = check_next_release(remote, case, service, end, expected.tree, seen)
            bench.ends[ended] += 1
            bench.developed[f"develop {case.develops}: {ended}"] += 1
    finally:
        kept.forget()
        shutil.rmtree(remote.path)


def check_handed(expected: Expected, end: End, told: str) -> Verdict:
    """It was refused or handed to people as it must be, for the very reason that the model gives."""
    if end.decision is None:
        assert expected.verdict is Verdict.REFUSED, told
        assert end.refused, told
        assert SAID[expected.why] in end.refused, told
        return Verdict.REFUSED
    assert end.way is Way.HOTFIX, told
    assert end.preview, told
    assert expected.verdict in (Verdict.HOTFIX, Verdict.TREE_OR_HOTFIX), told
    said = [SAID[expected.why]] if expected.verdict is Verdict.HOTFIX and not expected.moved else MAY_SAY
    assert any(each in end.decision.reason for each in said), told
    named = {unquoted(path).encode(errors="surrogateescape") for path in end.preview.conflicts}
    if expected.why == OVERLAP:
        assert any(name == path or name.startswith(path + b"~") for name in named for path in expected.paths), told
    return Verdict.HOTFIX


def compare(remote: Remote, expected: Expected, pushed: Pushed, before: dict[str, Tip], told: str) -> None:
    """Main and one new tag carry the declared tree; every other ref, the faulty tag among them, is what it was."""
    assert expected.tree is not None
    assert remote.files(f"refs/tags/{expected.patch}") == files(expected.tree), told
    after = remote.tips()
    new = {name: tip for name, tip in after.items() if before.get(name) != tip}
    assert set(new) == {"refs/heads/main", f"refs/tags/{expected.patch}"}, told
    assert {tip.commit for tip in new.values()} == {pushed.commit}, told
    assert new["refs/heads/main"].parents == (before["refs/heads/main"].commit,), told
    assert set(before) <= set(after), told
