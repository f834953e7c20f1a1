"""What is done about an incident, or why it is not."""

from dataclasses import dataclass

from recovery.catalog import Service
from recovery.errors import Refused
from recovery.incidents import Cause, Mode
from recovery.rollouts import Rollout, UndoPlan, plan_undo
from recovery.versions import parse_version


@dataclass(frozen=True, slots=True)
class ResponsePlan:
    """The whole answer to one incident, before anything is touched."""

    service: str
    version: str
    cause: Cause
    act: bool
    reason: str
    undo: UndoPlan
    steps: tuple[str, ...]

    @property
    def told(self) -> str:
        """The steps as people are told them, when people decide."""
        steps = "\n".join(f"{number}. {step}" for number, step in enumerate(self.steps, 1))
        return f"ripcord would do this now:\n{steps}\nStart it with 'ripcord respond {self.service} {self.version}'."


def plan_response(service: Service, rollout: Rollout, version: str, cause: Cause, mode: Mode) -> ResponsePlan:
    """Decide the answer.

    Raises Refused when the version is no release tag, when it is itself a patch release made by us (no
    rollback of a rollback), or when the cluster has nothing to go back to.
    """
    faulty = parse_version(version, service.tag_prefix)
    patched = next((each.patch_of for each in rollout.revisions if each.version == version and each.patch_of), None)
    if patched:
        raise Refused(
            f"{version} of {service.name} is itself the patch release that took {patched} back, no rollback of a "
            "rollback: a person must look, fix it forward or name a good version by hand"
        )
    undo = plan_undo(rollout, faulty.tag)
    steps = (
        f"take {rollout} from {version} back to {undo.to_version}: {undo.reason}",
        f"take {version} out of {service.main} of {service.repository} by one revert commit",
        "tag the next free patch release on it, publish it, and watch the pipeline deploy it",
        "prove that cluster, tag and tree agree, and that customers succeed again",
        f"write the post-mortem, synchronise {service.develop or 'nothing (no develop branch)'}, tell the stakeholders",
    )
    act = mode is Mode.ACT
    reason = cause.sentence if act else f"mode is {mode}: people decide ({cause.sentence})"
    return ResponsePlan(service.name, version, cause, act, reason, undo, steps)
