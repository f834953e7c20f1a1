"""May the token do what a recovery needs? Each right is tried without effect."""

from github import GithubException
from github.Repository import Repository

from recovery.catalog import Service
from recovery.errors import Refused
from tasks.credentials import holder, permissions_for
from tasks.github.client import open_repository, readable
from tasks.github.permissions import permission
from tasks.github.protections import protection_of

# Requests without what they must have. Who may is told that it is incomplete (422), who may not is told that (403).
_RELEASE, _STATUS, _PULL = "/releases", f"/statuses/{'0' * 40}", "/pulls"


def check_github(service: Service) -> str:
    """Try each right that is needed; says what was seen. Raises Refused naming the permissions that are missing."""
    with open_repository(service.repository) as repository:
        if repository.archived:
            raise Refused(f"{repository.full_name} is archived, nothing can be written to it: unarchive it")
        count = repository.get_releases().totalCount
        protection = protection_of(repository, service.main)
        by_request = service.via == "pull-request" or protection.refuses_push
        paths = [_RELEASE, _STATUS, *([_PULL] if by_request else [])]
        missing = [each for path in paths if (each := _missing(repository, path))]
        watched = [readable(repository, path, per_page=1) is not None for path in ("/deployments", "/actions/runs")]
        if not any(watched):
            missing.append("Deployments: read or Actions: read")
        scopes = repository.requester.oauth_scopes
        if scopes is not None and "repo" in scopes and "workflow" not in scopes:
            missing.append("scope 'workflow', for releases that touch .github/workflows")
        granted = permissions_for(service.repository)
        if granted is not None and granted.get("workflows") != "write":
            missing.append("Workflows: write, for releases that touch .github/workflows")
        if missing:
            raise Refused(f"{holder()} may not do all on {service.repository}: give it {', '.join(missing)}")
        written = "Releases, statuses, pull requests" if by_request else "Releases and statuses"
        return f"{service.repository} has {count} releases; {written} may be written; {service.main} {protection}"


def _missing(repository: Repository, path: str) -> str:
    """The permission that a write would lack; empty when there is none."""
    try:
        repository.requester.requestJsonAndCheck("POST", f"{repository.url}{path}", input={})
    except GithubException as error:
        if error.status in (403, 404):
            return permission("POST", path, (error.headers or {}).get("x-accepted-github-permissions", ""))
        if error.status != 422:
            raise
    return ""
