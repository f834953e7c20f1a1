"""Releases: what people and installers read a version from."""

from github import GithubException, UnknownObjectException
from github.GitRelease import GitRelease
from github.Repository import Repository
from prefect import task

from recovery.catalog import Service
from recovery.errors import Incomplete
from recovery.latest import becomes_latest, newer_than
from recovery.releases import Publication, Release
from tasks.github.client import open_repository, settled, words
from tasks.retry import LOOKING_PATIENTLY, PATIENTLY, spoken


@task(name="read releases", task_run_name="read releases of {service.repository}", **LOOKING_PATIENTLY)
def read_releases(service: Service) -> tuple[Release, ...]:
    """The whole Releases history, in GitHub's order, which nobody should rely on."""
    with open_repository(service.repository) as repository:
        return _history(repository)


@task(name="publish release", task_run_name="publish release {publication.tag}", **PATIENTLY)
@spoken
def publish_release(publication: Publication) -> str:
    """Publish the patch release, as the latest one when it is, and say on the faulty one what happened to it.

    Looks first; a lost answer to the creation is settled by looking again. Reads both back: raises Incomplete,
    naming what does not hold.
    """
    tag, faulty_tag, note = publication.tag, publication.faulty_tag, publication.note
    with open_repository(publication.repository) as repository:
        history = _history(repository)
        first = becomes_latest(tag, publication.tag_prefix, history, _latest_tag(repository))
        found = _by_tag(repository, tag)
        fresh = found is None
        if found is None:
            found = _publish(repository, publication, latest=first)
            said = f"published {found.html_url}"
            if newer := newer_than(tag, publication.tag_prefix, history):
                said += f", not as the latest: {newer} is newer"
        else:
            said = f"skipped: {found.html_url} is there already"
        faulty = _by_tag(repository, faulty_tag)
        if faulty is not None and note not in (faulty.body or ""):
            _edit(repository, faulty, body=f"{note}\n\n{faulty.body or ''}".strip(), make_latest="false")
        if first and _latest_tag(repository) == faulty_tag:
            _edit(repository, found, make_latest="true")
        missing = _missing(repository, tag, faulty_tag, note if faulty else "", latest=fresh and first)
        if missing:
            raise Incomplete(f"{'; '.join(missing)}: look at {repository.html_url}/releases", done=(said,))
        return said


def _publish(repository: Repository, publication: Publication, *, latest: bool) -> GitRelease:
    try:
        return settled(
            lambda: repository.create_git_release(
                publication.tag,
                publication.title,
                publication.notes,
                make_latest="true" if latest else "false",
            ),
            lambda: _by_tag(repository, publication.tag),
        )
    except GithubException as error:
        if error.status != 422 or "immutable release" not in words(error):
            raise
        raise Incomplete(
            f"an immutable release had the name {publication.tag} before, and GitHub gives it to no other "
            f"({words(error)}): the tag stands, publish a Release of the next patch number at "
            f"{repository.html_url}/releases/new by hand",
            done=(f"pushed the tag {publication.tag}",),
        ) from error


def _edit(repository: Repository, release: GitRelease, **changes: str) -> None:
    """Change that and nothing else: of an immutable release GitHub lets no more be named."""
    repository.requester.requestJsonAndCheck("PATCH", release.url, input=changes)


def _missing(repository: Repository, tag: str, faulty_tag: str, note: str, *, latest: bool) -> list[str]:
    """What GitHub does not show, although it took it. Only a Release of this try must be the latest one still."""
    said = []
    seen = _latest_tag(repository)
    if _by_tag(repository, tag) is None:
        said.append(f"GitHub took the Release {tag} and does not show it")
    elif latest and seen != tag:
        said.append(f"GitHub's latest Release is {seen} and not {tag}")
    elif seen == faulty_tag:
        said.append(f"GitHub still shows {faulty_tag} as the latest Release")
    if note:
        faulty = _by_tag(repository, faulty_tag)
        if faulty is None or note not in (faulty.body or ""):
            said.append(f"GitHub does not show on {faulty_tag} that it was taken back by {tag}")
    return said


def _by_tag(repository: Repository, tag: str) -> GitRelease | None:
    try:
        return repository.get_release(tag)
    except UnknownObjectException:
        return None


def _latest_tag(repository: Repository) -> str | None:
    try:
        return repository.get_latest_release().tag_name
    except UnknownObjectException:
        return None


def _history(repository: Repository) -> tuple[Release, ...]:
    return tuple(_release(each) for each in repository.get_releases())


def _release(each: GitRelease) -> Release:
    return Release(
        id=each.id,
        tag=each.tag_name,
        name=each.name or each.tag_name,
        body=each.body or "",
        draft=each.draft,
        prerelease=each.prerelease,
        published_at=each.published_at,
    )
