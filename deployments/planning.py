"""What would be done now, and what runs now, read without starting a flow."""

from datetime import UTC, datetime
from typing import Any

from recovery.errors import RecoveryError
from recovery.hotfixes import judge_feasibility
from recovery.incidents import Cause, Source
from recovery.responses import plan_response
from recovery.reverts import plan_revert
from recovery.rollouts import progress
from recovery.versions import parse_version
from recovery.ways import choose_way
from tasks.git import preview_revert, read_history, read_range
from tasks.github import read_protection, read_releases
from tasks.kubernetes.objects import observe_rollout
from tasks.postgres.foretold import read_foretold
from tasks.runs import read_mode
from tasks.settings import can_sign, read_catalogue, read_service


def plan_now(name: str, version: str) -> dict[str, Any]:
    """The response that would be given now, with the revert's preview. Raises what the flows would raise."""
    service = read_service(name)
    cause = Cause(sentence="planned from the command line", source=Source.PERSON, seen_at=datetime.now(UTC))
    faulty = parse_version(version, service.tag_prefix)
    response = plan_response(service, observe_rollout(service), version, cause, read_mode.fn())
    releases = read_releases.fn(service)
    revert = plan_revert(service, faulty, read_history.fn(service, version, releases), releases, cause)
    between, foretold = read_range.fn(service, version, revert.stable_tag), read_foretold.fn(service, version)
    obstacle = judge_feasibility(service, between, foretold=foretold).obstacle
    preview, protection = preview_revert.fn(revert), read_protection.fn(service)
    decision = choose_way(service, revert, preview, obstacle, protection, can_sign())
    return {
        "service": name,
        "version": version,
        "act": response.act,
        "reason": response.undo.reason,
        "steps": [
            *response.steps,
            f"in numbers: {revert.stable_tag}, {revert.reason}; {decision.way}: {decision.reason}",
        ],
    }


def status_now() -> list[dict[str, Any]]:
    """One row per service: what runs, since when, and how it stands."""
    rows = []
    for service in read_catalogue().services:
        row: dict[str, Any] = {"service": service.name, "version": None, "since": None, "standing": None}
        try:
            rollout = observe_rollout(service)
        except RecoveryError as error:
            rows.append({**row, "rollout": str(error)})
            continue
        current = rollout.current
        row |= {"version": rollout.version, "rollout": progress(rollout).reason}
        if current:
            row |= {"since": f"{current.active_since:%Y-%m-%d %H:%M:%S}", "standing": current.standing}
        rows.append(row)
    return rows
