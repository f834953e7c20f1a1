"""What is done about an incident, or why it is not."""

from dataclasses import dataclass

from recovery.catalog import Service
from recovery.errors import Refused
from recovery.incidents import Cause, Mode, Source
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
    ask: str | None = None  # why a person must confirm before anything is touched

    @property
    def told(self) -> str:
        """The steps as people are told them, when people decide."""
        steps = "\n".join(f"{number}. {step}" for number, step in enumerate(self.steps, 1))
        return f"ripcord would do this now:\n{steps}\nStart it with 'ripcord respond {self.service} {self.version}'."

    @property
    def asking(self) -> str:
        """What a person is asked."""
        steps = "\n".join(f"{number}. {step}" for number, step in enumerate(self.steps, 1))
        return f"{self.service} {self.version}: {self.cause.sentence}\n\nNothing is done yet: {self.ask}.\n\n{steps}"


def plan_response(
    service: Service, rollout: Rollout, version: str, cause: Cause, mode: Mode, recent: int = 0
) -> ResponsePlan:
    """Decide the answer; `recent` is how often the service was recovered in the last 24 hours.

    A person is asked first where the mode says so, or where recoveries pile up; never one who called himself.

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
    steps = [
        f"take {rollout} from {version} back to {undo.to_version}: {undo.reason}",
        f"take {version} out of {service.main} of {service.repository} by one revert commit",
        "tag the next free patch release on it, publish it, and watch the pipeline deploy it",
        "prove that cluster, tag and tree agree, and that customers succeed again",
        f"write the post-mortem, synchronise {service.develop or 'nothing (no develop branch)'}, tell the stakeholders",
    ]
    if cause.data_corrupt:
        steps.insert(1, _about_the_data(service, version))
    act = mode is not Mode.NOTIFY
    reason = cause.sentence if act else f"mode is {mode}: people decide ({cause.sentence})"
    ask = _question(service, mode, recent) if act and cause.source is not Source.PERSON else None
    return ResponsePlan(service.name, version, cause, act, reason, undo, tuple(steps), ask)


def restorable(service: Service) -> bool:
    """Whether the catalogue says how the service's database is taken back."""
    if service.rds is not None or service.cnpg is not None:
        return True
    return service.database is not None and service.database.restore is not None


def _about_the_data(service: Service, version: str) -> str:
    if not restorable(service):
        return f"leave the database of {service.name} to people: the catalogue does not say how it is restored"
    return f"ask a person whether the database goes back to its point before {version}, and what of it is lost"


def _question(service: Service, mode: Mode, recent: int) -> str | None:
    if mode is Mode.CONFIRM:
        return f"mode is {mode}"
    if recent >= service.daily:
        return f"{service.name} was recovered {recent} times in the last 24 hours, and {service.daily} are allowed"
    return None
