"""The matrix of deaths names every step that a recovery takes, so that none is left out unnoticed."""

import ast
from pathlib import Path

from tests.acceptance.test_killed import ANSWERED, ASKED, BY_REQUEST, STEPS

ROOT = Path(__file__).parents[2]
FLOWS = ("respond", "undo_rollout", "revert_release", "hotfix", "aftermath", "telling")
# Steps of other ways (a restore, an abandoned hotfix, a branch made anew, a rehearsal), killed in their own tests, and
# steps that only read or show.
ELSEWHERE = {
    "launch_restore", "close_pull", "comment_on", "preview_sync", "show", "read_document", "read_clock", "read_harm",
    "read_foretold", "read_merge",
}  # fmt: skip


def test_every_step_of_the_flows_stands_in_the_matrix() -> None:
    """Each task that the flows import is a row, or is known to be killed elsewhere."""
    imported = {
        alias.name: module
        for flow in FLOWS
        for node in ast.walk(ast.parse((ROOT / "flows" / f"{flow}.py").read_text()))
        if isinstance(node, ast.ImportFrom) and (module := str(node.module)).startswith("tasks.")
        for alias in node.names
    }
    steps = set()
    for name, module in imported.items():
        task = getattr(__import__(module, fromlist=[name]), name)
        if hasattr(task, "task_run_name") and name not in ELSEWHERE:
            steps.add(task.name)

    assert steps == {*STEPS, *BY_REQUEST, *ASKED, *ANSWERED}
