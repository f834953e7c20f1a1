"""After a release was taken back: the report, the clean-up and the news.

1. Read what happened from the systems that know it.  2. Put the story together.  3. Write the post-mortem and
synchronise develop.  4. (What was written is read where people find it: the artifact and the archive.)
5. Tell the stakeholders.
"""

from prefect import flow

from recovery.incidents import A_PERSON_ASKED, Cause
from recovery.reverts import plan_revert
from recovery.rollouts import watch_of
from recovery.timelines import harm_of, tell_story
from recovery.versions import parse_version
from tasks.artifacts import show
from tasks.clock import read_clock
from tasks.documents import read_document, write_post_mortem
from tasks.fence import one_at_a_time
from tasks.git import prove_revert, read_history, read_pushed, sync_develop
from tasks.github import read_releases
from tasks.kubernetes import read_rollout
from tasks.notify import notify
from tasks.prometheus import read_harm
from tasks.runs import dated
from tasks.settings import read_service


@flow(name="aftermath", flow_run_name="aftermath of {service} {version}", persist_result=True)
def aftermath(
    service: str,
    version: str,
    because: Cause = A_PERSON_ASKED,
    rehearse: bool = True,
) -> str:
    """Report, clean up and tell; refuses while the release is not taken out of main yet.

    Args:
        service: Service, as the catalogue names it.
        version: The release that was taken back, such as v1.2.0.
        because: Why it was taken back.
        rehearse: Stop after deciding and show the story.
    """
    entry = read_service(service)
    with one_at_a_time(service):
        because = dated(because)
        rollout = read_rollout(entry)
        releases = read_releases(entry)
        history = read_history(entry, version)
        plan = plan_revert(entry, parse_version(version, entry.tag_prefix), history, releases, because)
        pushed = read_pushed(plan)
        proof = prove_revert(plan, pushed)
        points = read_harm(watch_of(entry, rollout, version), read_clock())

        story = tell_story(because, rollout, plan, pushed, proof, releases, harm_of(points))
        if rehearse:
            show(f"story-{service}-{version}", story.headline, "rehearsed")
            return story.headline

        document = write_post_mortem(story, points)
        synced = sync_develop(entry, plan, pushed)

        show(f"post-mortem-{service}-{version}", read_document(document), story.headline)

        notify(f"restored/{service}/{version}", story.headline, f"{story.harm}. {synced}. Post-mortem: {document}")
        return story.headline
