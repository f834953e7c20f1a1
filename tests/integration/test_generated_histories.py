"""Histories drawn at random: each ends with the one right tree, or is handed to people with every ref as it was."""

import shutil
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from prefect.logging import disable_run_logger

from recovery.ways import Way
from tests.histories.chain import check_proof, claimed, literal, service_of, take_out
from tests.histories.drawing import cases
from tests.histories.model import Case, files, stream
from tests.histories.oracle import Expected, Verdict, expect
from tests.histories.remote import Remote, git
from tests.histories.sequel import check_next_release

USUALLY = 300
TORTURE = 10_000
MAYBE = Verdict.TREE_OR_HOTFIX
QUIETLY = settings(
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=(Phase.generate, Phase.shrink),
)


@dataclass
class Bench:
    """A directory for remotes, and how the cases ended."""

    root: Path
    numbers: Iterator[int] = field(default_factory=count)
    ends: Counter[str] = field(default_factory=Counter)

    def publish(self, case: Case) -> Remote:
        """The case as a repository of its own."""
        remote = Remote(self.root, f"acme/case{next(self.numbers)}")
        shutil.copytree(self.root / "acme/empty.git", remote.path)
        git(remote.path, "fast-import", "--quiet", "--force", given=stream(case))
        return remote


@pytest.fixture(name="bench", scope="module")
def _bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """One directory for all cases; each removes its own repository."""
    bench = Bench(tmp_path_factory.mktemp("histories"))
    Remote(bench.root, "acme/empty").make()
    shutil.rmtree(bench.root / "acme/empty.git/hooks", ignore_errors=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RIPCORD_GITHUB_GIT_URL", f"file://{bench.root}")
        yield bench


def test_every_history_ends_right(bench: Bench) -> None:
    """Three hundred of them."""
    examine_many(bench, USUALLY)


@pytest.mark.torture
@pytest.mark.timeout(24 * 3600)
def test_every_one_of_many_histories_ends_right(bench: Bench) -> None:
    """Ten thousand of them."""
    examine_many(bench, TORTURE)


def examine_many(bench: Bench, number: int) -> None:
    """Draw and examine so many cases, two at a time; all kinds of ends must be among them."""
    bench.ends.clear()

    @given(pair=st.tuples(cases(), cases()))
    @settings(QUIETLY, max_examples=number // 2)
    def examine_two(pair: tuple[Case, Case]) -> None:
        for done in [pool.submit(examine, bench, case) for case in pair]:
            done.result()

    with ThreadPoolExecutor(2) as pool, disable_run_logger():  # once for both threads: it is one switch
        examine_two()
    assert all(bench.ends[end] >= number // 50 for end in ("taken out", Verdict.HOTFIX, Verdict.REFUSED)), bench.ends


def examine(bench: Bench, case: Case) -> None:
    """Run the chain on one case, twice, and hold the end against the model."""
    remote = bench.publish(case)
    try:
        expected = expect(case)
        before = remote.refs()
        service = service_of(remote, **case.catalogue)
        end = take_out(service, case.faulty, case.releases)
        told = f"{expected} {end} {case.story}"
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
        assert again.pushed, told
        assert (again.pushed.tag, again.pushed.commit) == (end.pushed.tag, end.pushed.commit), told
        assert remote.refs() == after
        bench.ends["taken out"] += 1
        if case.develop is not None:
            bench.ends[check_next_release(remote, case, service, end, remote.path / "next")] += 1
    finally:
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
