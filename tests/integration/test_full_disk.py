"""A full disk is one sentence with the way out, and leaves nothing running and nothing half-written."""

import json
import sys

import pytest

from tests.integration.small_disk import on_small_disk, run_python

FILL = """
import os
from pathlib import Path

def fill(disk):
    \"\"\"Leave not a byte.\"\"\"
    with Path(disk, "filler").open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            pass
"""
LAB = (
    FILL
    + """
import sys
from infra.lab import founding, githost, kubernetes, postgres, room
from infra.lab.process import DiskFull

disk, part = Path(sys.argv[1]), sys.argv[2]
place = disk / "lab"
place.mkdir()

def grown():
    with postgres.postgres(place) as server:
        fill(disk)
        server.create_database("late")

def whole():
    founding.room = lambda directory: room.room(directory, 0)
    with founding.world(place):
        pass

parts = {
    "postgres": lambda: postgres.postgres(place).__enter__(),
    "githost": lambda: (fill(disk), githost.git_host(place).__enter__()),
    "kubernetes": lambda: kubernetes.control_plane(place).__enter__(),
    "postgres that grew": grown,
    "world": whole,
}
try:
    with room.room(place, 0):
        parts[part]()
    print("nothing was raised")
except DiskFull as error:
    print(error)
children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
others = [entry for entry in Path("/proc").iterdir() if entry.name.isdigit() and entry.name != str(os.getpid())]
for each in others:
    try:
        said = (each / "cmdline").read_text()
    except OSError:
        continue
    if str(place) in said:
        children.append(said)
print(children)
"""
)
ARCHIVE = (
    FILL
    + """
import json, sys
archive = Path(sys.argv[1], "archive")
os.environ["RIPCORD_ARCHIVE"] = str(archive)
from recovery.errors import Unavailable
from tasks.documents import write_post_mortem
from tasks.notify import _write_file
from tests.integration.test_tasks_documents_notify import POINTS, STORY

def attempts():
    said = []
    for attempt in (lambda: write_post_mortem.fn(STORY, POINTS), lambda: _write_file("full", "title", "text" * 2000)):
        try:
            attempt()
            said.append("written")
        except Unavailable as error:
            said.append(str(error))
    return said, sorted(path.name for path in archive.rglob("*") if path.is_file())

fill(sys.argv[1])
full = attempts()
Path(sys.argv[1], "filler").unlink()
print(json.dumps([full, attempts()]))
"""
)


def test_the_demo_begins_only_where_there_is_room() -> None:
    """Exit code 3, one sentence that names the directory, the numbers and the way out; its directory is gone."""
    done, left = on_small_disk(20, [sys.executable, "-m", "deployments.cli", "demo", "--exit"])

    [sentence] = done.stderr.strip().splitlines()
    assert done.returncode == 3
    assert sentence.startswith("ripcord: the lab needs 600 MB in ")
    assert sentence.endswith("finds 20: make room there, or name a directory with 600 MB free in TMPDIR")
    assert (done.stdout, left) == ("", "")


@pytest.mark.parametrize(
    ("megabytes", "part"),
    [(20, "postgres"), (2, "githost"), (20, "kubernetes"), (90, "postgres that grew"), (30, "world")],
)
def test_a_disk_that_fills_up_later_is_the_same_sentence(megabytes: int, part: str) -> None:
    """Whatever server meets it first and in whatever words; every process is ended."""
    sentence, running = run_python(megabytes, LAB, part).splitlines()

    assert sentence.startswith("the disk of the lab in ")
    assert sentence.endswith(" is full: make room there, or name a directory with 600 MB free in TMPDIR")
    assert running == "[]"


def test_a_full_archive_is_unavailable_and_holds_no_half_file() -> None:
    """Post-mortem and message name their path and the way out; with room again the next try writes both."""
    (full, left), (again, files) = json.loads(run_python(4, ARCHIVE))

    for sentence, name in zip(full, ("/archive/post-mortems/shop/v1.2.0.svg", "/archive/messages/"), strict=True):
        assert name in sentence
        assert "cannot be written: No space left on device; make room there, or set RIPCORD_ARCHIVE" in sentence
    assert left == []
    assert again == ["written", "written"]
    assert len(files) == 3
