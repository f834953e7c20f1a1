"""Branches, and the rules for them as different readers see them."""

from typing import Any

from infra.lab.github.answers import Answer, not_found
from infra.lab.github.commits import commit_shape
from infra.lab.github.rest import Call, known, page_of, route
from infra.lab.github.rules import protection
from infra.lab.github.store import Document
from infra.lab.github.tokens import not_accessible


def _branch(call: Call) -> dict[str, Any]:
    name = call.path["branch"]
    sha = known(call.bare.refs(f"refs/heads/{name}").get(f"refs/heads/{name}"))
    url = f"{call.base}/branches/{name}"
    commit = commit_shape(call, call.bare.commit(sha))
    return _short(call, name, sha) | {
        "commit": commit,
        "_links": {"self": url, "html": f"{call.html}/tree/{name}"},
        "protection_url": f"{url}/protection",
    }


def _short(call: Call, name: str, sha: str) -> dict[str, Any]:
    rules = protection(call.ground, name)
    # What a ruleset asks for does not count as protection here; that there is something, does.
    classic = rules is not None and not rules["ruleset"]
    checks = rules["required_checks"] if rules and classic else []
    asked = {
        "enforcement_level": "non_admins" if checks else "off",
        "contexts": checks,
        "checks": [{"context": name, "app_id": None} for name in checks],
    }
    return {
        "name": name,
        "commit": {"sha": sha, "url": f"{call.base}/commits/{sha}"},
        "protected": rules is not None,
        "protection": {"enabled": classic, "required_status_checks": asked},
        "protection_url": f"{call.base}/branches/{name}/protection",
    }


def _branches(call: Call) -> Answer:
    found = sorted(call.bare.refs("refs/heads/").items())
    return page_of(call, found, lambda pair: _short(call, pair[0].removeprefix("refs/heads/"), pair[1]))


def _protection(call: Call) -> Answer:
    """Only administrators see it, and the lab gives nobody such a token: an app learns so, a person nothing."""
    if call.user.get("account") == "Bot":
        raise not_accessible(call.user)
    raise not_found()


def _rules(call: Call) -> Answer:
    """The rules of rulesets, for every reader. A protection of the older kind is not among them."""
    rules = protection(call.ground, call.path["branch"])
    found = _listed(rules) if rules and rules["ruleset"] else []
    whose = {"ruleset_source_type": "Repository", "ruleset_source": call.name}
    return page_of(call, found, lambda rule: rule | whose | {"ruleset_id": rules["id"] if rules else 0})


def _listed(rules: Document) -> list[dict[str, Any]]:
    asked: list[dict[str, Any]] = [{"type": "deletion"}, {"type": "non_fast_forward"}]
    if rules["pull_request"]:
        asked.append({"type": "pull_request", "parameters": _pull_request(rules)})
    if rules["required_checks"]:
        checks = [{"context": name} for name in rules["required_checks"]]
        parameters = {"required_status_checks": checks, "strict_required_status_checks_policy": rules["strict"]}
        asked.append({"type": "required_status_checks", "parameters": parameters})
    if rules["signatures"]:
        asked.append({"type": "required_signatures"})
    if rules["merge_queue"]:
        asked.append({"type": "merge_queue", "parameters": _QUEUE})
    return asked


def _pull_request(rules: Document) -> dict[str, Any]:
    off = ("dismiss_stale_reviews_on_push", "require_code_owner_review", "require_last_push_approval")
    return {
        "required_approving_review_count": rules["reviews"],
        **dict.fromkeys((*off, "required_review_thread_resolution"), False),
        "allowed_merge_methods": ["merge", "squash", "rebase"],
    }


_QUEUE = {
    "check_response_timeout_minutes": 60, "grouping_strategy": "ALLGREEN", "max_entries_to_build": 5,
    "max_entries_to_merge": 5, "merge_method": "MERGE", "min_entries_to_merge": 1,
    "min_entries_to_merge_wait_minutes": 5,
}  # fmt: skip

ROUTES = [
    route("GET", "/branches", _branches),
    route("GET", "/branches/{branch:path}/protection", _protection),
    route("GET", "/branches/{branch:path}", _branch),
    route("GET", "/rules/branches/{branch:path}", _rules),
]
