"""Read what lies between two releases: files, what its migrations do to the version before, pull requests."""

from collections.abc import Iterator, Sequence

from prefect import task

from recovery.catalog import Service
from recovery.errors import Refused
from recovery.migrations import Compatibility
from recovery.ranges import Change, Contribution, Range, is_migration, is_own, number_of
from recovery.versions import parse_version
from tasks.git.copies import above, ephemeral
from tasks.git.migrations import judge_migrations
from tasks.git.opening import When
from tasks.git.plumbing import Repository
from tasks.git.reading import differing, head_of, mends_of, tags_of, unquoted
from tasks.retry import LOOKING_PATIENTLY

NAMED = 100  # pull requests of a range that are looked into, the newest
NOTHING = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"  # the tree without entries, which git knows without having it
CHUNK = 200  # paths in one command


@task(name="read range", task_run_name="read what {faulty_tag} brought", **LOOKING_PATIENTLY)
def read_range(service: Service, faulty_tag: str, stable_tag: str | None) -> Range:
    """Read what lies between two tags, of the service's own paths; without a stable tag, nothing can be told.

    A migration counts as compatible when it carries the marker in the faulty release or on main by now, else when
    its statements say so.
    Raises Refused when a tag is not there.
    """
    faulty_version = parse_version(faulty_tag, service.tag_prefix)
    stable_version = parse_version(stable_tag, service.tag_prefix) if stable_tag else None
    with (
        above(service.repository, service.main, stable_version, faulty_version, when=When.A_MOMENT_AGO)
        if stable_version
        else ephemeral(service.repository, when=When.A_MOMENT_AGO)
    ) as bare:
        tags = tags_of(bare)
        for tag in (faulty_tag, stable_tag):
            if tag is not None and tag not in tags:
                raise Refused(f"{service.repository} has no tag {tag}: see 'git ls-remote --tags {bare.url}'")
        faulty, mended_by = tags[faulty_tag], mends_of(bare, tags, faulty_tag, tags[faulty_tag])
        if stable_tag is None:
            return Range(faulty_tag, faulty, None, None, mended_by=mended_by)
        stable = tags[stable_tag]
        touched = {path: status for path, status in _brought(bare, stable, faulty).items() if is_own(service, path)}
        migrations = [path for path, status in touched.items() if status != "D" and is_migration(service, path)]
        marker = service.migrations.compatible
        marked = {
            path for at in (faulty, head_of(bare, service.main)) for path in _having(bare, at, marker, migrations)
        }
        unmarked = {
            path: status for path, status in touched.items() if is_migration(service, path) and path not in marked
        }
        judged = judge_migrations(bare, faulty, unmarked, stable_tag)
        return Range(
            faulty_tag,
            faulty,
            stable_tag,
            stable,
            changes=tuple(_change(path, status, path in marked, judged.get(path)) for path, status in touched.items()),
            contributions=tuple(_contributions(bare, service, stable, faulty)),
            mended_by=mended_by,
        )


def _change(path: str, status: str, marked: bool, judged: Compatibility | None) -> Change:
    if marked:
        return Change(path, status, True, f"{path} says that it is compatible", marked=True)
    return Change(path, status, judged.compatible, judged.reason) if judged else Change(path, status)


def _brought(bare: Repository, stable: str, faulty: str) -> dict[str, str]:
    """What `changed` says of two releases, asked as the preview of a revert asks: git is not started for it twice."""
    bare.learn_trees(stable, faulty)
    found = differing(bare, bare.tree_of(stable), bare.tree_of(faulty))
    return {unquoted(path): each.status for path, each in found.items()}


def changed(bare: Repository, old: str, new: str) -> dict[str, str]:
    """The paths in which two commits or trees differ, and how: A, M, D or T."""
    listed = bare.git("diff-tree", "-r", "-z", "--name-status", "--no-renames", "--end-of-options", old, new)
    parts = listed.split("\0")
    return dict(zip(parts[1::2], parts[::2], strict=False))


def _having(bare: Repository, at: str, text: str, paths: Sequence[str]) -> Iterator[str]:
    """Those of the paths that have a text in them; their blobs come in one go, as the search of a difference does."""
    for start in range(0, len(paths), CHUNK):
        some = paths[start : start + CHUNK]
        listed = bare.git(
            "diff-tree", "-r", "-z", "--name-only", "--no-renames", f"-S{text}", NOTHING, at, "--", *some,
            env={"GIT_LITERAL_PATHSPECS": "1"},
        )  # fmt: skip
        yield from filter(None, listed.split("\0"))


def _contributions(bare: Repository, service: Service, stable: str, faulty: str) -> Iterator[Contribution]:
    """What main's own line brought, and the pull requests that came by way of another branch, newest first."""
    records = [
        record.split("\x1f", 3)
        for record in bare.git("log", "-z", "--format=%H%x1f%P%x1f%s%x1f%b", f"{stable}..{faulty}").split("\0")
        if record
    ]
    parents_of = {commit: parents.split() for commit, parents, _, _ in records}
    line: set[str] = set()
    at = faulty
    while at in parents_of:
        line.add(at)
        at = next(iter(parents_of[at]), "")
    seen = 0
    for commit, parents, title, body in records:
        if not parents or (commit not in line and number_of(title) is None) or seen >= NAMED:
            continue
        seen += 1
        parent = parents.split()[0]
        paths = tuple(path for path in changed(bare, parent, commit) if is_own(service, path))
        if paths:
            yield Contribution(commit, parent, title, next(iter(body.splitlines()), "").strip(), paths)
