"""Users and repositories as GitHub writes them."""

import base64
from typing import Any

from infra.lab.github.answers import Answer
from infra.lab.github.platform import Platform
from infra.lab.github.rest import Call, route
from infra.lab.github.store import Document

_USER_LINKS = (
    "events", "followers", "following", "gists", "organizations", "received_events", "repos", "starred",
    "subscriptions",
)  # fmt: skip
_REPOSITORY_LINKS = {
    "archive_url": "/{archive_format}{/ref}", "assignees_url": "/assignees{/user}",
    "blobs_url": "/git/blobs{/sha}", "branches_url": "/branches{/branch}",
    "collaborators_url": "/collaborators{/collaborator}", "comments_url": "/comments{/number}",
    "commits_url": "/commits{/sha}", "compare_url": "/compare/{base}...{head}",
    "contents_url": "/contents/{+path}", "contributors_url": "/contributors",
    "deployments_url": "/deployments", "downloads_url": "/downloads", "events_url": "/events",
    "forks_url": "/forks", "git_commits_url": "/git/commits{/sha}", "git_refs_url": "/git/refs{/sha}",
    "git_tags_url": "/git/tags{/sha}", "hooks_url": "/hooks", "issue_comment_url": "/issues/comments{/number}",
    "issue_events_url": "/issues/events{/number}", "issues_url": "/issues{/number}", "keys_url": "/keys{/key_id}",
    "labels_url": "/labels{/name}", "languages_url": "/languages", "merges_url": "/merges",
    "milestones_url": "/milestones{/number}", "notifications_url": "/notifications{?since,all,participating}",
    "pulls_url": "/pulls{/number}", "releases_url": "/releases{/id}", "stargazers_url": "/stargazers",
    "statuses_url": "/statuses/{sha}", "subscribers_url": "/subscribers", "subscription_url": "/subscription",
    "tags_url": "/tags", "teams_url": "/teams", "trees_url": "/git/trees{/sha}", "url": "",
}  # fmt: skip
_ABSENT: dict[str, Any] = {
    "archived": False, "description": None, "disabled": False, "fork": False, "forks": 0, "forks_count": 0,
    "has_discussions": False, "has_downloads": True, "has_issues": True, "has_pages": False,
    "has_projects": True, "has_wiki": True, "homepage": None, "language": "Python", "license": None,
    "mirror_url": None, "network_count": 0, "open_issues": 0, "open_issues_count": 0, "private": True,
    "size": 0, "stargazers_count": 0, "subscribers_count": 0, "topics": [], "visibility": "private",
    "watchers": 0, "watchers_count": 0,
}  # fmt: skip


_MERGES = {"merge": "allow_merge_commit", "squash": "allow_squash_merge", "rebase": "allow_rebase_merge"}


def node_id(kind: str, identity: object) -> str:
    """GitHub's opaque global id."""
    return base64.b64encode(f"{kind}:{identity}".encode()).decode()


def person(platform: Platform, login: str) -> dict[str, Any]:
    """A user, as in `simple-user`; an organisation has the id of nobody."""
    user = platform.store.first("user", login=login)
    url = f"{platform.api}/users/{login}"
    return {
        "login": login,
        "id": user["id"] if user else 1,
        "node_id": node_id("User", login),
        "avatar_url": f"{platform.url}/avatars/{login}",
        "gravatar_id": "",
        "url": url,
        "html_url": f"{platform.url}/{login}",
        "type": user.get("account", "User") if user else "Organization",
        "site_admin": False,
        "user_view_type": "public",
        **{f"{link}_url": f"{url}/{link}" for link in _USER_LINKS},
    }


def repository_shape(platform: Platform, repository: Document) -> dict[str, Any]:
    """A repository, as in `full-repository`, which holds all of `repository` and `minimal-repository`."""
    full_name = str(repository["full_name"])
    owner, name = full_name.split("/")
    base, html = f"{platform.api}/repos/{full_name}", f"{platform.url}/{full_name}"
    times = dict.fromkeys(("created_at", "updated_at", "pushed_at"), repository["created_at"])
    return {
        **_ABSENT,
        **{key: f"{base}{path}" for key, path in _REPOSITORY_LINKS.items()},
        **times,
        "id": repository["id"],
        "node_id": node_id("Repository", repository["id"]),
        "name": name,
        "full_name": full_name,
        "owner": person(platform, owner),
        "html_url": html,
        "clone_url": f"{html}.git",
        "git_url": f"{html}.git",
        "ssh_url": f"{html}.git",
        "svn_url": html,
        "default_branch": "main",
        **{key: name in repository.get("merge_methods", _MERGES) for name, key in _MERGES.items()},
    }


def label_shape(call: Call, name: str) -> dict[str, Any]:
    """A label of a request."""
    return {
        "id": 1, "node_id": node_id("Label", name), "url": f"{call.base}/labels/{name}", "name": name,
        "description": None, "color": "ededed", "default": False, "archived_at": None, "archived_by": None,
    }  # fmt: skip


def _get(call: Call) -> Answer:
    writes = bool(call.user["write"])
    permissions = {"admin": False, "maintain": False, "push": writes, "triage": writes, "pull": True}
    return Answer(repository_shape(call.platform, call.repository) | {"permissions": permissions})


ROUTES = [route("GET", "", _get)]
