"""A fix without Prefect: what people are told, shown and asked."""

from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import TypeVar

import pytest

import flows.fix_forward
from recovery.catalog import Service
from recovery.incidents import Cause
from tasks.fix_form import FixApproval

T = TypeVar("T", bound="FixTalk")
BECAUSE = Cause(sentence="checkout fails")


@dataclass
class FixTalk:
    """What was said; a person answers yes or no."""

    shown: dict[str, str] = field(default_factory=dict)
    told: dict[str, str] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    answer: bool = True

    def ask(self, form: type[FixApproval], description: str, key: str) -> FixApproval:
        """The person's word."""
        self.asked.append(description)
        return FixApproval(approve=self.answer)

    def tell(self, identity: str, title: str, text: str) -> str:
        """Answers the title."""
        self.told[identity] = f"{title}: {text}"
        return title


def listen(monkeypatch: pytest.MonkeyPatch) -> FixTalk:
    """Stand between the flow and people; nobody else is kept out."""
    monkeypatch.setattr(flows.fix_forward, "one_at_a_time", lambda service: nullcontext())
    return hear(FixTalk(), monkeypatch)


def hear(talk: T, monkeypatch: pytest.MonkeyPatch) -> T:
    """Have what people are told go to `talk`, and what they are asked."""
    monkeypatch.setenv("RIPCORD_PATIENCE", "0.05")
    for what, instead in {
        "ask_person": talk.ask,
        "this_run": lambda: "http://prefect/run",
        "show": lambda key, text, said: talk.shown.update({key: text}),
        "notify": talk.tell,
    }.items():
        monkeypatch.setattr(flows.fix_forward, what, instead)
    return talk


def fix(service: Service, script: str, *, rehearse: bool = False) -> str:
    """Walk the flow for v1.2.0 of a service."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(flows.fix_forward, "read_service", lambda name: service)
        return str(flows.fix_forward.fix_forward.fn(service.name, "v1.2.0", script, BECAUSE, rehearse))
