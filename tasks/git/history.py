"""Read what the repository says of a release, and what taking it out would give; changes nothing."""

from collections.abc import Collection, Mapping, Sequence

from prefect import task

from recovery.catalog import Service
from recovery.errors import Refused
from recovery.releases import Release, candidates
from recovery.reverts import History, Preview, RevertPlan, horizon, sure_stable
from recovery.tags import newest
from recovery.versions import Version, parse_version
from tasks.git.commits import brought_by, commits_of, holding, landed_as, logged, patches_of, reverted_by, reverted_on
from tasks.git.copies import TAGS, between, ephemeral, fetch_files, reaches, recent
from tasks.git.laws import SUBMODULE, preview
from tasks.git.opening import When
from tasks.git.plumbing import Repository
from tasks.git.reading import differing, head_of, mends_of, names_of_tags, tags_by, tags_of
from tasks.retry import LOOKING_AGAIN, LOOKING_PATIENTLY

NOTHING = "000000"  # the mode of what a tree lacks
LOOKED_AT = 30  # newest releases that could be gone back to whose distance to the faulty one is listed


@task(name="read history", task_run_name="read history of {service.repository}", **LOOKING_PATIENTLY)
def read_history(service: Service, faulty: str, releases: Sequence[Release] = (), to: str | None = None) -> History:
    """Read tags, ancestry and what lies between the tags. Raises Refused when the faulty tag is not there.

    With the Releases history nothing is read below the release before the stable one, as long as the choice cannot
    depend on it; without, or where a person chose a release by `to`, everything is.
    """
    version = parse_version(faulty, service.tag_prefix)
    lowest = horizon(version, releases, service.quarantine, to)
    if lowest:
        with recent(service.repository, service.main, version, lambda tags: _there(lowest, tags)) as bare:
            history = _read(bare, service, version, releases, to) if bare else None
            stable = sure_stable(version, releases, history, service.quarantine, lowest) if history else None
            if bare and history and stable and reaches(bare, stable.tag, faulty, service.paths):
                return history
    with ephemeral(service.repository) as bare:
        return _read(bare, service, version, releases, to)


def _there(version: Version, tags: Collection[str]) -> Version | None:
    return version if version.tag in tags else None


def _read(bare: Repository, service: Service, version: Version, releases: Sequence[Release], to: str | None) -> History:
    tags, faulty = tags_of(bare), version.tag
    if faulty not in tags and version.ref in bare.listed:
        raise Refused(
            f"{faulty} of {service.repository} stands for no commit but for files alone: nothing was released by it, "
            "name the tag of the release"
        )
    if faulty not in tags:
        raise Refused(f"{service.repository} has no tag {faulty}: see 'git ls-remote --tags {bare.url}'")
    head = head_of(bare, service.main)
    commit = tags[faulty]
    contained = {tag: tags[tag] for tag in tags_by(bare, f"--merged={commit}") if tag in tags}
    on_main = _on_main(bare, tags, contained, commit, head)
    landed = landed_as(bare, faulty, commit, head)
    newer = tags_by(bare, f"--contains={commit}") if tags.keys() - contained.keys() else []
    # Teams tag every build: what nobody could go back to must not take the places.
    possible = {each.tag for each in candidates(version, releases, {*service.quarantine} - {to})}
    older = _newest_of({*contained} & possible if releases else {*contained} - {faulty}, version.prefix)
    return History(
        head=head,
        faulty=commit,
        faulty_on_main=faulty in on_main,
        tags=tuple(names_of_tags(bare)),
        contained=contained,
        taken_out={tag: brought_by(bare, tags[tag], commit, service.paths) for tag in older},
        kept=commits_of(bare, commit, bare.commit_of(f"{landed}^1") if landed else head),
        later=tuple(tag for tag in newer if tags.get(tag) != commit),
        patches=patches_of(bare, tags, version, commit, head),
        holding=holding(bare, tags, version, commit, head),
        landed=landed,
        reverted=tuple(tag for tag in reverted_on(bare, head) if tag != faulty),
        on_main=on_main,
        mends=mends_of(bare, tags, faulty, commit),
        faulty_object=bare.listed[version.ref],
    )


def _on_main(
    bare: Repository, tags: Mapping[str, str], contained: Collection[str], faulty: str, head: str
) -> tuple[str, ...]:
    """The tags that main contains: those of the faulty release, and those that came after it, once it is on main."""
    above = logged(bare, faulty, head)
    if faulty == head or any(faulty in each.parents for each in above):
        after = {each.id for each in above}
        return tuple(tag for tag, commit in tags.items() if tag in contained or commit in after)
    return tuple(tags_by(bare, f"--merged={head}"))


@task(name="read taken back", task_run_name="read what {version} takes back", **LOOKING_AGAIN)
def read_taken_back(service: Service, version: str) -> str | None:
    """The release that a tag takes back, as a commit says that no earlier release has; None when none does.

    Believed is only what names a release together with the commit that its tag has.
    """
    with ephemeral(service.repository) as bare:
        tags = tags_of(bare)
        if version not in tags:
            return None
        contained = {tags[tag] for tag in tags_by(bare, f"--merged={tags[version]}") if tag in tags}
        said = reverted_by(bare, tags[version], [f"^{commit}" for commit in sorted(contained - {tags[version]})])
        return next((tag for tag, commit in said if tags.get(tag) == commit), None)


@task(name="preview revert", task_run_name="preview the revert of {plan.faulty_tag}", **LOOKING_PATIENTLY)
def preview_revert(plan: RevertPlan) -> Preview:
    """Compute the tree that the revert would give on main as it is, changing nothing.

    Where the release was taken out of main already, on main as it was before that.
    """
    with between(plan, when=When.A_MOMENT_AGO) as bare:
        head = bare.commit_of(f"{plan.landed}^1") if plan.landed else head_of(bare, plan.main)
        seen = preview(bare, plan, head)
        if seen.tree and f"{TAGS}{plan.stable_tag}" in bare.peeled:
            # A push sends what no commit at the tip of a ref has, and an annotated tag is none
            # (mark_edges_uninteresting in git's list-objects.c): fetched now, it is not between last look and push.
            files = differing(bare, bare.tree_of(seen.head), seen.tree).values()
            fetch_files(bare, [each.objects[1] for each in files if each.modes[1] not in (SUBMODULE, NOTHING)])
        return seen


def _newest_of(tags: set[str], prefix: str) -> list[str]:
    left = set(tags)
    found: list[str] = []
    while len(found) < LOOKED_AT and (tag := newest(left, prefix)):
        left.discard(tag)
        found.append(tag)
    return found
