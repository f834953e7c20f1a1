"""After a release was taken back: the report, the clean-up and the news.

1. Read what happened from the systems that know it.  2. Put the story together.  3. Synchronise
develop and put the reverted work on its way back; write the post-mortem.  4. (What was written is read where people
find it: the artifact and the archive.)  5. Tell the stakeholders.
"""

from prefect import flow

from flows.telling import report
from recovery.incidents import A_PERSON_ASKED, Cause
from recovery.reverts import plan_revert
from recovery.rollouts import watch_of
from recovery.timelines import harm_of, taken_back, tell_story
from recovery.versions import parse_version
from tasks.artifacts import show
from tasks.clock import read_clock
from tasks.fence import one_at_a_time
from tasks.git import preview_sync, prove_revert, read_history, read_pushed, sync_develop
from tasks.github import read_releases
from tasks.kubernetes import read_rollout
from tasks.prometheus import read_harm
from tasks.runs import dated
from tasks.settings import read_service


@flow(name="aftermath", flow_run_name="aftermath of {service} {version}", persist_result=True)
def aftermath(
    service: str,
    version: str,
    because: Cause = A_PERSON_ASKED,
    to: str | None = None,
    rehearse: bool = True,
) -> str:
    """Report, clean up and tell; refuses while the release is not taken out of main yet.

    Args:
        service: Service, as the catalogue names it.
        version: The release that was taken back, such as v1.2.0.
        because: Why it was taken back.
        to: The stable release, where a person chose it, such as v1.1.0.
        rehearse: Stop after deciding and show the story.
    """
    entry = read_service(service)
    with one_at_a_time(f"{service}, source"):
        because = dated(because)
        rollout = read_rollout(entry)
        releases = read_releases(entry)
        history = read_history(entry, version, releases, to)
        plan = plan_revert(entry, parse_version(version, entry.tag_prefix), history, releases, because, to)
        pushed = read_pushed(plan)
        proof = prove_revert(plan, pushed)
        points = read_harm(watch_of(entry, rollout, version), read_clock())

        story = tell_story(because, rollout, taken_back(plan), pushed, proof, releases, harm_of(points))
        if rehearse:
            show(f"story-{service}-{version}", f"{story.headline}. {preview_sync(entry, plan, pushed)}", "rehearsed")
            return story.headline

        synced = sync_develop(entry, plan, pushed)

        return report(story, points, synced)
