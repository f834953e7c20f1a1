"""What a tag on GitHub stands for: by its full name, since a branch may be called the same."""

from urllib.parse import quote

from github import UnknownObjectException
from github.Repository import Repository

from recovery.errors import Refused
from tasks.github.client import read

DEEPEST = 20  # tags of tags before we take it for a mistake


def tagged_commit(repository: Repository, tag: str) -> str | None:
    """The commit of a tag, however often it must be peeled; None where there is no such tag.

    Raises Refused when it stands for something else.
    """
    try:
        found = read(repository, f"/git/ref/tags/{quote(tag)}")
    except UnknownObjectException:
        return None
    for _ in range(DEEPEST):
        if found["object"]["type"] != "tag":
            break
        found = read(repository, f"/git/tags/{found['object']['sha']}")
    if found["object"]["type"] != "commit":
        raise Refused(f"{tag} of {repository.full_name} stands for a {found['object']['type']} and for no commit")
    return str(found["object"]["sha"])
