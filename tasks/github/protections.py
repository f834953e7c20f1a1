"""What a branch asks of a change, from its rulesets and from the older kind of protection."""

from collections.abc import Iterable
from typing import Any

from github.Repository import Repository
from prefect import task

from recovery.catalog import Service
from recovery.pulls import METHODS, Protection
from tasks.github.client import open_repository, readable
from tasks.retry import LOOKING_PATIENTLY


@task(name="read protection", task_run_name="read the protection of {service.main}", **LOOKING_PATIENTLY)
def read_protection(service: Service) -> Protection:
    """What `main` asks of a change, as far as the token may read it."""
    with open_repository(service.repository) as repository:
        return protection_of(repository, service.main)


def protection_of(repository: Repository, branch: str) -> Protection:
    """Both kinds together: whatever one of them asks for is asked for."""
    return _together((_by_rules(_rules(repository, branch)), _classic(repository, branch)))


def allowed_methods(repository: Repository, branch: str, protection: Protection) -> tuple[str, ...]:
    """The ways of merging that the repository and the branch's rules leave."""
    settings = (repository.allow_merge_commit, repository.allow_squash_merge, repository.allow_rebase_merge)
    # A token that may not write does not see the settings: then GitHub decides.
    allowed = {method for method, on in zip(METHODS, settings, strict=True) if on is not False}
    for rule in _rules(repository, branch):
        if rule["type"] == "required_linear_history":
            allowed.discard("merge")
        named = (rule.get("parameters") or {}).get("allowed_merge_methods")
        if rule["type"] == "pull_request" and named:
            allowed &= set(named)
    if protection.signatures:
        allowed.discard("rebase")  # GitHub signs its merges and squashes, not what it rebases
    return tuple(method for method in METHODS if method in allowed)


def _rules(repository: Repository, branch: str) -> list[dict[str, Any]]:
    return list(readable(repository, f"/rules/branches/{branch}", per_page=100) or ())


def _by_rules(rules: Iterable[dict[str, Any]]) -> Protection:
    return _together(_by_rule(rule["type"], rule.get("parameters") or {}) for rule in rules)


def _by_rule(kind: str, parameters: dict[str, Any]) -> Protection:
    if kind == "pull_request":
        return Protection(pull_request=True, reviews=int(parameters.get("required_approving_review_count") or 0))
    if kind == "required_status_checks":
        return Protection(
            required_checks=tuple(each["context"] for each in parameters.get("required_status_checks") or ()),
            strict=bool(parameters.get("strict_required_status_checks_policy")),
        )
    return Protection(signatures=kind == "required_signatures", merge_queue=kind == "merge_queue")


def _classic(repository: Repository, branch: str) -> Protection:
    """The older kind: whole for administrators, and of the rest the checks alone."""
    whole = readable(repository, f"/branches/{branch}/protection")
    if whole is None:
        seen = (readable(repository, f"/branches/{branch}") or {}).get("protection") or {}
        whole = {"required_status_checks": seen.get("required_status_checks")}
    checks = whole.get("required_status_checks") or {}
    reviews = whole.get("required_pull_request_reviews")
    return Protection(
        pull_request=reviews is not None,
        required_checks=tuple(checks.get("contexts") or ()),
        signatures=bool((whole.get("required_signatures") or {}).get("enabled")),
        strict=bool(checks.get("strict")),
        reviews=int((reviews or {}).get("required_approving_review_count") or 0),
    )


def _together(parts: Iterable[Protection]) -> Protection:
    found = tuple(parts)
    return Protection(
        pull_request=any(each.pull_request for each in found),
        required_checks=tuple(dict.fromkeys(name for each in found for name in each.required_checks)),
        signatures=any(each.signatures for each in found),
        merge_queue=any(each.merge_queue for each in found),
        strict=any(each.strict for each in found),
        reviews=max((each.reviews for each in found), default=0),
    )
