"""A shop whose develop is to follow a patch release, a Git host that decides over refs, and a team that is faster."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from prefect.logging import disable_run_logger

from recovery.reverts import Pushed
from recovery.syncs import Synced
from tasks.git import sync as following
from tasks.git.plumbing import Repository as Ephemeral
from tasks.git.sync import sync_develop
from tests.integration.releasing import Repository, service, text

PROTECTED = """#!/bin/sh
[ "$1" = refs/heads/develop ] || exit 0
echo "error: GH006: Protected branch update failed for refs/heads/develop." >&2
echo "error: Changes must be made through a pull request." >&2
exit 1
"""


@contextmanager
def coupon_shop(directory: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Repository]:
    """A shop whose v1.2.0 added coupons and changed how one pays; it is on develop and not released yet."""
    monkeypatch.setenv("RIPCORD_GITHUB_GIT_URL", f"file://{directory}")
    shop = Repository(directory)
    shop.write(
        "develop", {"coupons": text(rate="10", limit="3"), "checkout": text(pay="coupon", ship="post", tax="19")}
    )
    with disable_run_logger():
        yield shop


def synced(shop: Repository, *, merge: bool = False) -> tuple[Synced, Pushed]:
    """Take v1.2.0 out of main, then synchronise."""
    pushed = shop.revert(merge=merge)
    assert pushed is not None
    return sync_develop.fn(service(), shop.plan(), pushed), pushed


def hook(shop: Repository, script: str) -> Path:
    """Have the Git host decide over every ref."""
    path = shop.bare / "hooks" / "update"
    path.write_text(script)
    path.chmod(0o755)
    return path


def rivals(shop: Repository, monkeypatch: pytest.MonkeyPatch, most: int) -> list[str]:
    """Have the team push to develop just before we do, so many times."""
    made: list[str] = []
    offer = following._offer

    def late(bare: Ephemeral, branches: Mapping[str, tuple[str, str]]) -> Any:
        if len(made) < most:
            made.append(shop.write("develop", {f"rival{len(made)}": "x\n"}))
            shop.push("develop")
        return offer(bare, branches)

    monkeypatch.setattr(following, "_offer", late)
    return made


def assert_nothing_is_missing(shop: Repository, whole: str | None) -> None:
    """The next release with the re-land is what it would have been had nothing been reverted."""
    assert whole is not None
    assert shop.next_release(reland=True) == whole
