"""A recovery's part in the source with every library at its loudest: `python -m tests.integration.loud_flow ONE OTHER`.

The run on the second repository speaks as what LOUD_SECOND says; each ends at a repository that is not there.
"""

import json
import logging
import os
import sys

from prefect import flow

from recovery.catalog import Service
from recovery.errors import Refused
from recovery.reverts import plan_revert
from recovery.versions import parse_version
from recovery.ways import Decision, Way
from tasks.git import check_repository, push_revert, read_history
from tasks.github import check_github, read_releases
from tests.integration.reverting import CAUSE, RELEASES


@flow(name="loud")
def loud(repository: str, missing: str) -> None:
    """Read, push, and fail."""
    service = Service(name="shop", namespace="acme", repository=repository)
    check_repository(service)
    check_github(service)
    read_releases(service)
    history = read_history(service, "v1.2.0")
    plan = plan_revert(service, parse_version("v1.2.0"), history, RELEASES, CAUSE)
    push_revert(plan, Decision(Way.PUSH, ""))
    if missing == "for git":
        read_history(service.model_copy(update={"repository": "acme/none"}), "v1.2.0")
    read_releases(service.model_copy(update={"repository": "acme/none"}))


def main() -> None:
    """Both runs; each ends in the error of its last step."""
    logging.basicConfig(level=logging.DEBUG, stream=sys.stderr)
    for name in ("github", "github.Requester", "urllib3", "httpx", "httpcore", "git", "git.cmd", "prefect"):
        logging.getLogger(name).setLevel(logging.DEBUG)
    for number, missing in enumerate(("for git", "for GitHub")):
        if number:
            for name, value in json.loads(os.environ["LOUD_SECOND"]).items():
                os.environ.pop(name) if value is None else os.environ.update({name: value})
        try:
            loud(sys.argv[1 + number], missing)
        except Refused as refused:
            print(f"refused: {refused}")  # noqa: T201 - what a caller does with it
        else:
            raise SystemExit("nothing was refused")


if __name__ == "__main__":
    main()
