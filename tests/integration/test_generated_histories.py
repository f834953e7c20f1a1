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

from recovery.reverts import RevertPlan
from recovery.ways import Way
from tasks.git.kept import Kept
from tests.histories.chain import check_proof, claimed, literal, planned_on_all, service_of, take_out
from tests.histories.drawing import draw_case
from tests.histories.model import Case, files, stream
from tests.histories.oracle import Expected, Verdict, expect
from tests.histories.remote import Remote, git
from tests.histories.sequel import check_next_release
from tests.histories.traits import ALL, traits

USUALLY = 300
TORTURE = int(os.environ.get("RIPCORD_HISTORIES", "10000"))
SEED = os.environ.get("RIPCORD_SEED")  # one of the slices in which it may be done; unset: the whole
AGAIN = os.environ.get("RIPCORD_HISTORY")  # the number that a failure told: these two histories and no other
AGAIN_BY = f"again: RIPCORD_HISTORY={{}} .venv/bin/python -m pytest {__file__} -k test_every_history_ends_right"
MAYBE = Verdict.TREE_OR_HOTFIX
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
    taken_out: Counter[str] = field(default_factory=Counter)

    @property
    def kept(self) -> Path:
        """Where the product keeps what it fetched."""
        return self.root / "kept"

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
    bench.ends.clear()
    bench.taken_out.clear()

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
        assert all(
            bench.ends[end] >= number // 50 for end in ("taken out", "read in part", Verdict.HOTFIX, Verdict.REFUSED)
        ), bench.ends
        assert all(bench.taken_out[trait] >= number // 300 for trait in ALL), bench.taken_out


def examine(bench: Bench, case: Case) -> None:
    """Run the chain on one case, twice, and hold the end against the model."""
    remote = bench.publish(case)
    kept = Kept(bench.kept, f"file://{remote.path}")
    try:
        expected = expect(case)
        before = remote.refs()
        service = service_of(remote, **case.catalogue)
        whole = planned_on_all(service, case.faulty, case.releases)
        kept.forget()  # what follows reads as little as it may
        end = take_out(service, case.faulty, case.releases)
        told = f"{expected} {end} {case.story}"
        assert whole == (end.plan or end.refused) or (end.plan is None and isinstance(whole, RevertPlan)), told
        if end.pushed is None:
            assert remote.refs() == before
            handed = Verdict.HOTFIX if end.way is Way.HOTFIX else Verdict.REFUSED
            assert handed in (expected.verdict, *([Verdict.HOTFIX] if expected.verdict is MAYBE else [])), told
            bench.ends[handed] += 1
            return
        assert expected.tree is not None, told
        assert end.proof
        compare(remote, expected, end.pushed.commit, before, told)
        check_proof(remote, end.proof, remote.path / "fresh")
        assert end.plan
        assert claimed(remote, end.pushed) == literal(remote, end.plan, end.pushed, remote.path / "fresh"), told
        after = remote.refs()
        again = take_out(service, case.faulty, case.releases)
        bench.ends["read in part"] += kept.extent.since != ""
        assert again.pushed, told
        assert (again.pushed.tag, again.pushed.commit) == (end.pushed.tag, end.pushed.commit), told
        assert remote.refs() == after
        bench.ends["taken out"] += 1
        bench.taken_out.update(traits(case))
        if case.develop is not None:
            bench.ends[check_next_release(remote, case, service, end, remote.path / "next")] += 1
    finally:
        kept.forget()
        shutil.rmtree(remote.path)


def compare(remote: Remote, expected: Expected, commit: str, before: str, told: str) -> None:
    """Main and one new tag carry the declared tree; every other ref, the faulty tag among them, is what it was."""
    assert expected.tree is not None
    assert remote.files(f"refs/tags/{expected.patch}") == files(expected.tree), told
    old, new = dict(_pairs(before)), dict(_pairs(remote.refs()))
    main = old.pop("refs/heads/main")
    assert new.pop("refs/heads/main") == commit == remote.git("rev-parse", f"refs/tags/{expected.patch}^{{}}"), told
    assert remote.git("rev-parse", f"{commit}^@") == main, told
    assert set(new.items()) - set(old.items()) == {(f"refs/tags/{expected.patch}", new[f"refs/tags/{expected.patch}"])}
    assert set(old.items()) <= set(new.items()), told


def _pairs(refs: str) -> Iterator[tuple[str, str]]:
    for line in refs.split("\n"):
        name, _, target = line.partition(" ")
        yield name, target
