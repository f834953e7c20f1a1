"""The question before a restore without Prefect: a person says no, and what was asked is kept."""

import pytest

import flows.asking
from tasks.approvals import RestoreAnswer


def decline(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Have every question answered with no; returns the questions."""
    asked: list[str] = []

    def answer(form: type[RestoreAnswer], description: str, key: str) -> RestoreAnswer:
        asked.append(description)
        return form(restore=False)

    monkeypatch.setattr(flows.asking, "ask_person", answer)
    monkeypatch.setattr(flows.asking, "notify", lambda *said: "said")
    monkeypatch.setattr(flows.asking, "this_run", lambda: "here")
    return asked
