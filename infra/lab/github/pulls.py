"""Pull requests. `merging.py` merges one, and so does a push that brings the head into the base (`pushes.py`)."""

from typing import Any

from infra.lab.github.answers import Answer, invalid, not_found, now
from infra.lab.github.commits import changed_files, commit_shape, merge_base, resolve
from infra.lab.github.heads import head_of, lags
from infra.lab.github.lengths import PULL, must_fit
from infra.lab.github.mergeability import judge
from infra.lab.github.people import label_shape, node_id, person, repository_shape
from infra.lab.github.rest import Call, known, page_of, required, route
from infra.lab.github.store import Document


def _simple(call: Call, pull: Document) -> dict[str, Any]:
    number = pull["number"]
    url, issue = f"{call.base}/pulls/{number}", f"{call.base}/issues/{number}"
    html = f"{call.html}/pull/{number}"
    addresses = {
        "self": url, "html": html, "issue": issue, "comments": f"{issue}/comments",
        "commits": f"{url}/commits", "statuses": f"{call.base}/statuses/{head_of(call.bare, pull)}",
        "review_comments": f"{url}/comments", "review_comment": f"{call.base}/pulls/comments{{/number}}",
    }  # fmt: skip
    return {
        "url": url,
        "html_url": html,
        "id": pull["id"],
        "node_id": node_id("PullRequest", pull["id"]),
        "diff_url": f"{html}.diff",
        "patch_url": f"{html}.patch",
        **{f"{name}_url": addresses[name] for name in addresses if name not in ("self", "html")},
        "_links": {name: {"href": address} for name, address in addresses.items()},
        **{key: pull[key] for key in ("number", "title", "body", "state", "draft", "merge_commit_sha")},
        **{key: pull[key] for key in ("created_at", "updated_at", "closed_at", "merged_at")},
        "locked": False,
        "user": person(call.platform, pull["user"]),
        "assignee": None,
        "labels": [label_shape(call, name) for name in pull["labels"]],
        "milestone": None,
        "author_association": "MEMBER",
        "auto_merge": None,
        "head": _end(call, pull["head"], head_of(call.bare, pull)),
        "base": _end(call, pull["base"], _base(call, pull)),
    }


def _full(call: Call, pull: Document) -> dict[str, Any]:
    head, base = head_of(call.bare, pull), _base(call, pull)
    files = changed_files(call, merge_base(call.bare, base, head) or base, head)
    merged = pull["merged_at"] is not None
    mergeable, state = _mergeability(call, pull)
    return _simple(call, pull) | {
        "additions": sum(file["additions"] for file in files),
        "deletions": sum(file["deletions"] for file in files),
        "changed_files": len(files),
        "commits": len(call.bare.commits(f"{base}..{head}")),
        "comments": len(call.platform.store.all("comment", call.name, number=pull["number"])),
        "review_comments": 0,
        "mergeable": mergeable,
        "mergeable_state": state,
        "rebaseable": mergeable,
        "maintainer_can_modify": False,
        "merged": merged,
        "merged_by": person(call.platform, pull["merged_by"]) if merged else None,
    }


def _mergeability(call: Call, pull: Document) -> tuple[bool | None, str]:
    """GitHub tries a merge in the background: who asks first after head or base has moved hears that it is unknown."""
    base, head = call.bare.commit_of(f"heads/{pull['base']}"), head_of(call.bare, pull)
    if pull["state"] != "open" or base is None or lags(pull):
        return None, "unknown"
    if pull.get("judged") != f"{base} {head}":
        call.platform.store.change(pull, judged=f"{base} {head}")
        return None, "unknown"
    judgement = judge(call.ground, pull, base, head)
    return judgement.tree is not None, "draft" if pull["draft"] else judgement.state


def _end(call: Call, branch: str, sha: str) -> dict[str, Any]:
    owner = call.name.split("/")[0]
    repository = repository_shape(call.platform, call.repository)
    user = person(call.platform, owner)
    return {"label": f"{owner}:{branch}", "ref": branch, "sha": sha, "user": user, "repo": repository}


def _base(call: Call, pull: Document) -> str:
    """The base as it was when the request was made, which is what its diff is counted from."""
    return str(pull["base_sha"])


def _create(call: Call) -> Answer:
    required(call, "title", "head", "base")
    must_fit(call.body, PULL)
    head = call.body["head"].rpartition(":")[2]
    base = call.body["base"]
    for field, branch in (("head", head), ("base", base)):
        if f"refs/heads/{branch}" not in call.bare.refs("refs/heads/"):
            raise invalid("PullRequest", field, "invalid")
    if call.platform.store.all("pull", call.name, head=head, base=base, state="open"):
        twin = f"A pull request already exists for {call.name.split('/')[0]}:{head}."
        raise invalid("PullRequest", "head", "custom", twin)
    head_sha, base_sha = resolve(call, f"heads/{head}"), resolve(call, f"heads/{base}")
    if call.bare.contains(base_sha, head_sha):
        raise invalid("PullRequest", "head", "custom", f"No commits between {base} and {head}")
    with call.platform.store.transaction():
        number = len(call.platform.store.all("pull", call.name)) + 1
        pull = call.platform.store.add(
            "pull", call.name, number=number, title=call.body["title"], body=call.body.get("body"), state="open",
            draft=bool(call.body.get("draft")), head=head, base=base, head_sha=head_sha, base_sha=base_sha,
            user=call.user["login"], created_at=now(), updated_at=now(), closed_at=None, merged_at=None,
            merged_by=None, merge_commit_sha=None, labels=[],
        )  # fmt: skip
    return Answer(_full(call, pull), 201)


def _list(call: Call) -> Answer:
    wanted = {"state": call.query.get("state", "open"), "base": call.query.get("base")}
    asked = {key: value for key, value in wanted.items() if value not in (None, "all")}
    pulls = call.platform.store.all("pull", call.name, **asked)[::-1]
    owner, separator, branch = call.query.get("head", "").partition(":")
    # As at GitHub, a head without its owner does not filter at all.
    if separator:
        pulls = [pull for pull in pulls if owner == call.name.split("/")[0] and pull["head"] == branch]
    return page_of(call, pulls, lambda pull: _simple(call, pull))


def one_pull(call: Call) -> Document:
    """The request that the call is about; raises the 404."""
    pulls = call.platform.store.all("pull", call.name)
    return dict(known(next((p for p in pulls if str(p["number"]) == call.path["number"]), None)))


def _get(call: Call) -> dict[str, Any]:
    return _full(call, one_pull(call))


def _update(call: Call) -> dict[str, Any]:
    pull = one_pull(call)
    must_fit(call.body, PULL)
    changes: dict[str, Any] = {key: call.body[key] for key in ("title", "body", "state", "base") if key in call.body}
    if changes.get("state", pull["state"]) not in ("open", "closed"):
        raise invalid("PullRequest", "state", "invalid")
    if pull["merged_at"] and changes.get("state") == "open":
        raise invalid("PullRequest", "state", "custom", "state cannot be changed. The pull request has been merged.")
    if "state" in changes and changes["state"] != pull["state"]:
        changes |= {"closed_at": now() if changes["state"] == "closed" else None, "head_sha": head_of(call.bare, pull)}
    return _full(call, call.platform.store.change(pull, **changes, updated_at=now()))


def _span(call: Call) -> tuple[str, str]:
    """From where base and head part, to the head."""
    pull = one_pull(call)
    head, base = head_of(call.bare, pull), _base(call, pull)
    return merge_base(call.bare, base, head) or base, head


def _commits(call: Call) -> Answer:
    start, head = _span(call)
    return page_of(call, call.bare.commits(f"{start}..{head}")[::-1], lambda commit: commit_shape(call, commit))


def _files(call: Call) -> Answer:
    return page_of(call, changed_files(call, *_span(call)), lambda file: file)


def _merged(call: Call) -> Answer:
    if one_pull(call)["merged_at"] is None:
        raise not_found()
    return Answer(None, 204)


def _of_commit(call: Call) -> Answer:
    """The merged requests that brought a commit into their base, and the open ones that hold it."""
    sha = resolve(call, call.path["ref"])
    pulls = [pull for pull in call.platform.store.all("pull", call.name) if _holds(call, pull, sha)]
    return page_of(call, pulls, lambda pull: _simple(call, pull))


def _holds(call: Call, pull: Document, sha: str) -> bool:
    head, base = head_of(call.bare, pull), _base(call, pull)
    inside = call.bare.contains(head, sha) and not call.bare.contains(base, sha)
    return inside or sha == pull["merge_commit_sha"]


ROUTES = [
    route("POST", "/pulls", _create),
    route("GET", "/pulls", _list),
    route("GET", "/pulls/{number}", _get),
    route("GET", "/pulls/{number}/commits", _commits),
    route("GET", "/pulls/{number}/files", _files),
    route("GET", "/pulls/{number}/merge", _merged),
    route("PATCH", "/pulls/{number}", _update),
    route("GET", "/commits/{ref:path}/pulls", _of_commit),
]
