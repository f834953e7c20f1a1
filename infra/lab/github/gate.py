"""Git's `proc-receive` hook: let through or refuse each ref of a push, in GitHub's words.

This hook and no other can say why (`! [remote rejected] main -> main (protected branch hook declined)`). What it
lets through, git itself writes. It runs in a process of git's, with the store beside the server.
"""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

from infra.lab.github.bare import Bare
from infra.lab.github.rules import Ground, Refusal, refuses
from infra.lab.github.store import RefChange, Store

HOOK = """#!/bin/sh
# Without the server's word (a push that came by a path) nothing is asked, and git does not even start this.
exec "$LAB_PYTHON" -m infra.lab.github.gate
"""
ATOMIC = Refusal("", ("atomic transaction failed",))


def main() -> None:
    """Speak the hook's protocol, version 1."""
    features = [word for line in _lines() for word in line.partition(b"\0")[2].split()]
    _say("version=1")
    _end()
    changes = [RefChange(name, before, after) for before, after, name in (_words(line) for line in _lines())]
    answers = _judge(changes)
    if b"atomic" in features and any(answers.values()):
        answers = {name: answer or ATOMIC for name, answer in answers.items()}
    for name, answer in answers.items():
        if answer:
            _say(f"ng {name} {answer.reason}")
        else:
            _say(f"ok {name}")
            _say("option fall-through")
    _end()


def environment(store: Path, repository: str, html: str) -> dict[str, str]:
    """What git needs so that it asks, and the hook so that it can answer."""
    return {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": "receive.procReceiveRefs",
        "GIT_CONFIG_VALUE_0": "refs",
        "LAB_PYTHON": sys.executable,
        "LAB_STORE": str(store),
        "LAB_REPOSITORY": repository,
        "LAB_HTML": html,
        "PYTHONPATH": str(Path(__file__).parents[3]),
        "PYTHONSAFEPATH": "1",
    }


def install(bare: Path) -> None:
    """Put the hook into a bare repository; one that is there stays."""
    hook = bare / "hooks" / "proc-receive"
    if not hook.exists():
        hook.parent.mkdir(exist_ok=True)
        hook.write_text(HOOK)
        hook.chmod(0o755)


def _judge(changes: list[RefChange]) -> dict[str, Refusal | None]:
    store = Store(Path(os.environ["LAB_STORE"]))
    try:
        user = store.first("user", login=os.environ["REMOTE_USER"]) or {}
        ground = Ground(store, Bare(Path.cwd()), os.environ["LAB_REPOSITORY"])
        answers = {change.name: refuses(ground, user, change) for change in changes}
    finally:
        store.close()
    for name, answer in answers.items():
        for line in answer.spoken(name, os.environ["LAB_HTML"]) if answer else []:
            sys.stderr.write(f"{line}\n")
    sys.stderr.flush()
    return answers


def _lines() -> Iterator[bytes]:
    """The packets of one section."""
    while True:
        size = int(sys.stdin.buffer.read(4), 16)
        if size == 0:
            return
        yield sys.stdin.buffer.read(size - 4).rstrip(b"\n")


def _words(line: bytes) -> tuple[str, str, str]:
    before, after, name = line.decode().split(" ", 2)
    return before, after, name


def _say(text: str) -> None:
    data = f"{text}\n".encode()
    sys.stdout.buffer.write(b"%04x" % (len(data) + 4) + data)


def _end() -> None:
    sys.stdout.buffer.write(b"0000")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
