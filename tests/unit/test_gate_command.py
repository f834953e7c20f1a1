"""The exit codes by which a pipeline decides."""

import pytest
from typer.testing import CliRunner

import deployments.cli  # noqa: F401 it has the commands
from deployments import gating
from deployments.console import app
from recovery.errors import Refused, Unavailable
from recovery.restore_points import WayBack


@pytest.mark.parametrize(
    ("answer", "code", "said"),
    [
        (WayBack(True, "restored"), 0, "yes: restored"),
        (WayBack(False, "allowed"), 0, "yes, unproved: allowed"),
        (Refused("no room"), 1, "ripcord: no room"),
        (Unavailable("silence"), 3, "ripcord: silence"),
    ],
)
def test_only_yes_is_exit_code_0(
    answer: WayBack | Exception, code: int, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No is 1 and silence 3, each one sentence."""

    def run_gate(service: str, version: str) -> WayBack:
        if isinstance(answer, WayBack):
            return answer
        raise answer

    monkeypatch.setattr(gating, "run_gate", run_gate)
    result = CliRunner().invoke(app, ["gate", "shop", "v1.2.0"])

    assert result.exit_code == code
    assert not isinstance(answer, WayBack) or said in result.stdout
