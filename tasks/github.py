"""Read and write Releases, deployments and commit statuses on GitHub. Vendor types do not leave this file."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import requests
from github import Auth, Github, GithubException, UnknownObjectException
from github.GitRelease import GitRelease
from github.Repository import Repository as Vendor
from prefect import get_run_logger, task

from recovery.catalog import Service
from recovery.errors import Incomplete, Refused, Unavailable
from recovery.releases import Release
from recovery.reverts import Proof, Pushed, RevertPlan, release_notes
from tasks.retry import ON_UNAVAILABLE, spoken
from tasks.settings import read_settings

POLL_SECONDS = 2.0
STATUS_CONTEXT = "ripcord/verdict"


@task(name="read releases", task_run_name="read releases of {service.repository}", **ON_UNAVAILABLE)
def read_releases(service: Service) -> tuple[Release, ...]:
    """The whole Releases history, in GitHub's order, which nobody should rely on."""
    with _repository(service.repository) as repository:
        return tuple(_release(each) for each in repository.get_releases())


@task(name="publish release", task_run_name="publish release {pushed.tag}", **ON_UNAVAILABLE)
@spoken
def publish_release(plan: RevertPlan, pushed: Pushed, proof: Proof) -> str:
    """Publish the patch release as the latest one and say on the faulty one what happened to it.

    Looks first; a lost answer to the creation is settled by looking again on the next try.
    """
    with _repository(plan.repository) as repository:
        found = _by_tag(repository, pushed.tag)
        if found is None:
            found = repository.create_git_release(
                pushed.tag,
                f"{pushed.tag}: {plan.faulty_tag} taken back",
                release_notes(plan, pushed, proof),
                make_latest="true",
            )
            said = f"published {found.html_url}"
        else:
            said = f"skipped: {found.html_url} is there already"
        note = f"> Taken back by {pushed.tag}. Do not deploy."
        faulty = _by_tag(repository, plan.faulty_tag)
        if faulty is not None and note not in (faulty.body or ""):
            faulty.update_release(
                faulty.name or plan.faulty_tag,
                f"{note}\n\n{faulty.body or ''}".strip(),
                prerelease=faulty.prerelease,
                make_latest="false",
            )
        return said


@task(name="watch pipeline", task_run_name="watch the pipeline deploy {tag}", **ON_UNAVAILABLE)
@spoken
def watch_pipeline(service: Service, tag: str) -> str:
    """Wait for the pipeline's deployment of a tag. Raises Incomplete, with its link, when it failed or never came."""
    deadline = time.monotonic() + service.settle.total_seconds()
    said = ""
    while True:
        state, url = _deployment_state(service, tag)
        if state == "success":
            return f"the pipeline deployed {tag}: {url}"
        if state in ("failure", "error"):
            raise Incomplete(f"the pipeline could not deploy {tag}: {url}; mend it and deploy {tag} again")
        if time.monotonic() > deadline:
            raise Incomplete(
                f"the pipeline did not deploy {tag} within {service.settle} (last: {state}): "
                "a tag pushed with an Actions token starts no workflow, start it by hand"
            )
        if state != said:
            said = state
            get_run_logger().info(f"deployment of {tag}: {state}")
        time.sleep(POLL_SECONDS * read_settings().patience)


@task(name="certify release", task_run_name="write {state} on {tag}", **ON_UNAVAILABLE)
@spoken
def write_status(service: Service, tag: str, state: str, sentence: str) -> str:
    """Write the verdict on the tag's commit as a commit status; says what was done."""
    with _repository(service.repository) as repository:
        commit = repository.get_commit(f"refs/tags/{tag}" if "/" in tag else tag)
        for each in commit.get_combined_status().statuses:
            if each.context == STATUS_CONTEXT and each.state == state:
                return f"skipped: {tag} already says {state}"
        commit.create_status(state, description=sentence[:140], context=STATUS_CONTEXT)
        return f"wrote {state} on {tag}"


def check_github(service: Service) -> str:
    """Read the repository and its Releases; says what was seen. Raises Refused when the token may not."""
    with _repository(service.repository) as repository:
        count = repository.get_releases().totalCount
        if repository.permissions and not repository.permissions.push:
            raise Refused(f"the token may only read {service.repository}: give it 'Contents: write'")
        return f"{service.repository} has {count} releases; Releases may be written"


def _deployment_state(service: Service, tag: str) -> tuple[str, str]:
    with _repository(service.repository) as repository:
        newest = next(iter(repository.get_deployments(ref=tag)), None)
        status = next(iter(newest.get_statuses()), None) if newest else None
        if status is None:
            return ("created" if newest else "not started"), repository.html_url
        return status.state, status.target_url or repository.html_url


def _by_tag(repository: Vendor, tag: str) -> GitRelease | None:
    try:
        return repository.get_release(tag)
    except UnknownObjectException:
        return None


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


@contextmanager
def _repository(name: str) -> Iterator[Vendor]:
    """A repository; what the vendor's client raises inside the block becomes one of ours."""
    settings = read_settings()
    github = Github(
        auth=Auth.Token(settings.github_token.get_secret_value() or "none"),
        base_url=settings.github_api_url,
        timeout=int(settings.request_timeout),
        retry=None,
        seconds_between_requests=0,
        seconds_between_writes=0,
    )
    try:
        yield github.get_repo(name)
    except GithubException as error:
        raise _failure(name, error) from error
    except requests.RequestException as error:
        raise Unavailable(f"{settings.github_api_url} did not answer: {' '.join(str(error).split())[:200]}") from error
    finally:
        github.close()


def _failure(name: str, error: GithubException) -> Refused | Unavailable:
    said = error.data.get("message", "") if isinstance(error.data, dict) else str(error.data)
    if error.status == 401:
        return Refused(f"GitHub does not know the token ({said}): set RIPCORD_GITHUB_TOKEN")
    if error.status == 403 and "rate limit" not in said.lower():
        return Refused(
            f"GitHub does not allow this on {name} ({said}): the token needs Contents, Deployments, Statuses"
        )
    if error.status == 404:
        return Refused(f"GitHub has no {name}, or the token does not see it ({said})")
    # 422 already_exists after a lost answer, 429 and 5xx: look again and go on from what is there.
    return Unavailable(f"GitHub answered {error.status} for {name}: {said}")
