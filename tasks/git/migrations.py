"""Read the migrations of a release and have them judged: their text comes in one go, and no more than its bounds."""

from collections.abc import Mapping, Sequence

from recovery.migration_files import LARGEST, MOST, judge_file
from recovery.migrations import Compatibility
from tasks.git.plumbing import Repository
from tasks.git.reading import contents_of

CHUNK = 200  # paths in one command
_FILES = ("100644", "100755")


def judge_migrations(bare: Repository, at: str, touched: Mapping[str, str], before: str) -> dict[str, Compatibility]:
    """Judge the migrations that a release touches; one that was there before may have been run as it was then."""
    added = [path for path, status in touched.items() if status == "A"]
    judged = {path: Compatibility(None, _why(path, status, before)) for path, status in touched.items()}
    if len(added) > MOST:
        return judged | {path: Compatibility(None, f"{path} is one of more than {MOST} and was not read")
                         for path in added}  # fmt: skip
    texts = texts_of(bare, at, added)
    for path in added:
        text = texts.get(path)
        judged[path] = (
            Compatibility(None, f"{path} is no plain file, or larger than {LARGEST // 1024} KiB, and was not read")
            if text is None
            else judge_file(path, text, added, before)
        )
    return judged


def texts_of(bare: Repository, at: str, paths: Sequence[str]) -> dict[str, str]:
    """The text of each plain file that is not too large. Bytes that are no text stay as they are, and are refused."""
    blobs = {}
    for start in range(0, len(paths), CHUNK):
        listed = bare.git(
            "ls-tree", "-r", "-l", "-z", "--end-of-options", at, "--", *paths[start : start + CHUNK],
            env={"GIT_LITERAL_PATHSPECS": "1"},
        )  # fmt: skip
        for record in filter(None, listed.split("\0")):
            facts, path = record.split("\t", 1)
            mode, _, blob, size = facts.split()
            if mode in _FILES and int(size) <= LARGEST:
                blobs[path] = blob
    texts = (content.decode(errors="surrogateescape") for content in contents_of(bare, list(blobs.values())))
    return dict(zip(blobs, texts, strict=True))


def _why(path: str, status: str, before: str) -> str:
    said = {"D": "was deleted", "M": "was changed"}.get(status, "became something else")
    return f"{path} {said} after {before}, and what the database ran cannot be told"
