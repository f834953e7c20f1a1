"""Read what a release would bring before it is deployed: the migrations since the release before, and their text."""

from collections.abc import Sequence
from dataclasses import replace

from prefect import task

from recovery.catalog import Service
from recovery.errors import Refused
from recovery.migration_files import MOST
from recovery.outlooks import Ahead
from recovery.ranges import Range, is_migration
from recovery.releases import Release, choose_stable
from recovery.trials import NotTried, plan_trial
from recovery.versions import parse_version
from tasks.git.copies import above
from tasks.git.history import read_history
from tasks.git.migrations import texts_of
from tasks.git.opening import When
from tasks.git.ranges import read_range
from tasks.retry import LOOKING_BRIEFLY


@task(name="read ahead", task_run_name="read what {version} would bring", **LOOKING_BRIEFLY)
def read_ahead(service: Service, version: str, releases: Sequence[Release]) -> Ahead:
    """Read the migrations between a release and the one to which a recovery would go back, as a recovery would.

    Raises Refused when the tag is not there, Unavailable when the Git host does not answer.
    """
    history = read_history.fn(service, version, releases)
    tag, bad = parse_version(version, service.tag_prefix), {*service.quarantine, *history.reverted}
    try:
        before = choose_stable(tag, releases, history.contained, bad, history.on_main).version.tag
    except Refused as refused:
        return Ahead(version, history.faulty, untold=str(refused))
    between = read_range.fn(service, version, before)
    changes = tuple(each for each in between.changes if is_migration(service, each.path))
    ahead = Ahead(version, between.faulty_commit, before, changes)
    return _with_files(service, ahead, between) if changes else ahead


def _with_files(service: Service, ahead: Ahead, between: Range) -> Ahead:
    """With the files to be run on a copy, or why they are not."""
    limit = service.migrations.tried
    if not limit:
        return replace(ahead, unrun="not run on a copy: the catalogue gives `migrations.tried` no time")
    stable, faulty = (parse_version(str(each), service.tag_prefix) for each in (between.stable_tag, ahead.version))
    added = [each.path for each in ahead.changes if each.status == "A"]
    with above(service.repository, service.main, stable, faulty, when=When.A_MOMENT_AGO) as bare:
        texts = texts_of(bare, between.faulty_commit, added[:MOST])
    try:
        return replace(ahead, files=plan_trial(ahead.changes, texts), limit=limit)
    except NotTried as why:
        return replace(ahead, unrun=str(why))
