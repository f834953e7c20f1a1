"""Copies of a remote repository that live as long as a step: whole, or from one release upwards.

Which refs there are the remote is asked every time, but for what is only shown; of what they stand for only what was
never fetched is fetched, and files come when they are needed. A copy that ends below costs what lies above, however old
the repository is; `between` makes sure that nothing which is read from it depends on what was left out.
"""

import hashlib
import shutil
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from gitdb import PackedDB

from recovery.errors import Refused, Unavailable
from recovery.reverts import RevertPlan
from recovery.tags import next_below, versions_above
from recovery.versions import Version, parse_version
from tasks.git.kept import Extent, Kept
from tasks.git.opening import When, make_bare, opened
from tasks.git.plumbing import THERE, Repository, failure
from tasks.git.reading import contents_of, tags_by, tags_of
from tasks.settings import git_cache

_facts: deque[tuple[str, ...]] = deque(maxlen=100)  # remote; its second commit has the first, its third that; paths
HEADS, TAGS = "refs/heads/", "refs/tags/"
# As git fetches what a partial clone lacks (fetch_objects in its promisor-remote.c).
_FETCH_OBJECTS = (
    "-c", "fetch.negotiationAlgorithm=noop",
    "fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--filter=blob:none", "--stdin",
)  # fmt: skip
_ALL_THE_DEPTH = "--depth=2147483647"


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What a copy is to have: refs and their objects, further objects, and the tag below which nothing is needed."""

    refs: Mapping[str, str]
    commits: Collection[str] = ()
    under: str | None = None
    since: str = ""  # the commit of that tag
    objects: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "objects", frozenset({*self.refs.values(), *self.commits}))


@contextmanager
def ephemeral(
    repository: str, branches: Collection[str] | None = None, commits: Collection[str] = (),
    *, when: When = When.ASKED,
) -> Iterator[Repository]:  # fmt: skip
    """A bare repository holding the remote's refs, their commits and trees; blobs come when they are needed.

    `branches` are the only refs that are wanted, `commits` further objects.
    Raises Unavailable when the Git host does not answer, Refused when it does not let us in.
    """
    with opened(repository, when) as bare:
        names = bare.listed if branches is None else [f"{HEADS}{name}" for name in branches]
        wanted = _Wanted({name: bare.listed[name] for name in names if name in bare.listed}, commits)
        with _filled(bare, wanted) as filled:
            if filled is None:
                raise AssertionError("a copy of all there is ends nowhere")
            yield filled


@contextmanager
def recent(
    repository: str, main: str, faulty: Version, under: Callable[[Collection[str]], Version | None],
    branches: Collection[str] = (), *, when: When = When.ASKED,
) -> Iterator[Repository | None]:  # fmt: skip
    """A bare repository with main, some branches, and the versions above the one that `under` chooses from all tags.

    That one and what it contains are left out. None where there is no such version, or the Git host does not serve
    it so. Raises as `ephemeral` does.
    """
    with opened(repository, when) as bare:
        tags = [name.removeprefix(TAGS) for name in bare.listed if name.startswith(TAGS)]
        lowest = under(tags)
        heads = [f"{HEADS}{name}" for name in (main, *branches)]
        if lowest is None or heads[0] not in bare.listed or faulty.ref not in bare.listed:
            yield None
            return
        names = [*heads, *(f"{TAGS}{name}" for name in versions_above(tags, lowest))]
        refs = {name: bare.listed[name] for name in names if name in bare.listed}
        with _filled(bare, _Wanted(refs, under=lowest.ref, since=commit_of(bare, lowest.tag) or "")) as filled:
            yield filled


@contextmanager
def between(plan: RevertPlan, branches: Collection[str] = (), *, when: When = When.ASKED) -> Iterator[Repository]:
    """A copy that lacks nothing of what lies above a plan's stable release: a recent one where that is certain.

    Raises as `ephemeral` does.
    """
    stable, faulty = (parse_version(tag, plan.tag_prefix) for tag in (plan.stable_tag, plan.faulty_tag))
    with above(plan.repository, plan.main, stable, faulty, branches, when=when) as bare:
        yield bare


@contextmanager
def above(
    repository: str, main: str, stable: Version, faulty: Version, branches: Collection[str] = (),
    *, when: When = When.ASKED,
) -> Iterator[Repository]:  # fmt: skip
    """A copy that lacks nothing of what lies above a stable release: a recent one where that is certain, else all.

    Raises as `ephemeral` does.
    """

    def below(tags: Collection[str]) -> Version | None:
        return next_below(tags, stable)

    with recent(repository, main, faulty, below, branches, when=when) as bare:
        if bare is not None and reaches(bare, stable.tag, faulty.tag):
            yield bare
            return
    with ephemeral(repository, when=when) as bare:
        yield bare


def reaches(bare: Repository, stable: str, faulty: str, paths: Sequence[str] = ()) -> bool:
    """Answer whether a copy has all that lies above a stable release that a faulty one contains.

    What was left out is what one commit contains: nothing is missing where the stable release contains that commit,
    and every commit at which the copy ends. A branch that began below it ends in a commit with one parent, of which
    only the difference is not known, and that matters where `paths` are asked for; a merge hides its other parent, too.
    """
    if not bare.since:
        return True
    older, newer = (commit_of(bare, tag) for tag in (stable, faulty))
    if older is None or newer is None:
        return False
    fact = (bare.url, bare.since, older, newer, *paths)
    if bare.fresh or fact not in _facts:
        try:
            contains = _contains(bare, stable, faulty, older, paths)
        except Unavailable:  # it lacks commits, so that git does not come to its end
            return False
        if not contains:
            return False
        _facts.append(fact)
    return True


def _contains(bare: Repository, stable: str, faulty: str, older: str, paths: Sequence[str]) -> bool:
    # Asked of tags, as whoever reads a history does anyway: git is not started for it twice.
    tags = tags_of(bare)
    contained = tags_by(bare, f"--merged={tags[faulty]}") if faulty in tags else ()
    ends = dict(_ends(bare)) if stable in contained else {}
    if not ends:
        return False
    beside = set(bare.git("rev-list", "--stdin", given="".join(f"{each}\n" for each in (*ends, f"^{older}"))).split())
    known = all(commit not in beside or (len(parents) == 1 and not paths) for commit, parents in ends.items())
    return known and any(bare.since in parents and commit not in beside for commit, parents in ends.items())


def fetch_files(bare: Repository, files: Collection[str]) -> None:
    """Fetch files by their ids, all at once; where that does not go, git does so itself when it needs them."""
    there = PackedDB(str(bare.path / "objects" / "pack"))
    missing = [each for each in sorted(files) if not there.has_object(bytes.fromhex(each))]
    if missing:
        bare.answer(*_FETCH_OBJECTS, "origin", given="".join(f"{each}\n" for each in missing))


def commit_of(bare: Repository, tag: str) -> str | None:
    """What a tag of the remote stands for, which need not be a commit; None where there is none."""
    return bare.peeled.get(f"{TAGS}{tag}") or bare.listed.get(f"{TAGS}{tag}")


def _ends(bare: Repository) -> Iterator[tuple[str, list[str]]]:
    """The commits at which a copy ends, and the parents that they really have: git itself shows none."""
    commits = (bare.path / "shallow").read_text().split()
    for commit, content in zip(commits, contents_of(bare, commits), strict=True):
        headers = content.partition(b"\n\n")[0].decode(errors="replace").split("\n")
        yield commit, [line.removeprefix("parent ") for line in headers if line.startswith("parent ")]


@contextmanager
def _filled(bare: Repository, wanted: _Wanted) -> Iterator[Repository | None]:
    """The repository with what is wanted fetched; what was fetched is kept when the step is over."""
    home = git_cache()
    kept = Kept(home, bare.url) if home and not bare.fresh else None
    extent = _fill(bare, wanted, kept)
    if extent is None:
        yield None
        return
    if extent.shallow and wanted.under is None:
        raise Refused(
            f"{bare.url} is a shallow repository, its history ends before it began: name the full one in "
            "RIPCORD_GITHUB_GIT_URL"
        )
    refs = _write_refs(bare, {f"{THERE}/{name.removeprefix('refs/')}": each for name, each in wanted.refs.items()})
    packed = not any(len(each.name) == 2 for each in (bare.path / "objects").iterdir())
    try:
        yield replace(bare, since=extent.since, refs=refs)
    finally:
        if kept and packed:
            kept.keep(bare.path, extent)


def _fill(bare: Repository, wanted: _Wanted, kept: Kept | None) -> Extent | None:
    """Fetch what is wanted on top of what is kept, or from nothing where that does not go."""
    lent = kept.lend(bare.path) if kept else None
    if lent:
        _write_refs(bare, {f"refs/kept/{each}": each for each in lent.fetched})
        if lent.shallow:
            (bare.path / "shallow").write_text("".join(f"{each}\n" for each in lent.shallow))
        enough = wanted.objects <= {*lent.fetched} and (wanted.under is not None or not lent.shallow)
        if enough:
            return lent
        depth = _ALL_THE_DEPTH if wanted.under is None else None
        status, _ = _fetch(bare, wanted, depth)
        if status == 0:
            return _extent(bare, wanted, lent)
        shutil.rmtree(bare.path)  # what is kept stays until there is something else: the host may just be down
        make_bare(bare.path, bare.url)
    if not wanted.objects:
        return Extent()  # a repository without a single ref
    status, err = _fetch(bare, wanted, f"--shallow-exclude={wanted.under}" if wanted.under else _ALL_THE_DEPTH)
    if status == 0:
        return _extent(bare, wanted, Extent())
    if wanted.under:
        return None
    raise failure(bare.url, "fetch", status, err)


def _fetch(bare: Repository, wanted: _Wanted, depth: str | None) -> tuple[int, str]:
    """Fetch objects; all files, too, where a tag names a file, which git does not get past.

    All the depth there is, said aloud: only then does a shallow remote say that it is one. Otherwise git asks it for
    the commit it lacks, again for that question's answer, and so on, a process each, without an end.
    """
    fetch = ["fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--stdin", *([depth] if depth else [])]
    given = "".join(f"{each}\n" for each in sorted(wanted.objects))
    status, _, err = bare.answer(*fetch, "--filter=blob:none", "origin", given=given)
    if status != 0 and "bad revision" in err:
        status, _, err = bare.answer(*fetch, "--no-filter", "origin", given=given)
    return status, err


def _extent(bare: Repository, wanted: _Wanted, before: Extent) -> Extent:
    shallow = bare.path / "shallow"
    ends = tuple(shallow.read_text().split()) if shallow.exists() else ()
    fetched = tuple(sorted({*before.fetched, *wanted.objects}))
    return Extent(fetched, ends, (before.since or wanted.since) if ends else "")


def _write_refs(bare: Repository, refs: Mapping[str, str]) -> str:
    """Write all refs at once, as git packs them (gitrepository-layout(5)), without a process for each; their digest."""
    lines = "".join(f"{each} {name}\n" for name, each in sorted(refs.items())).encode(errors="surrogateescape")
    (bare.path / "packed-refs").write_bytes(lines)
    return hashlib.sha256(lines).hexdigest()
