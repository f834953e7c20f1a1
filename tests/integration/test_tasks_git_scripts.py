"""The script of a fix, read from a pull request on the lab's GitHub."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from deployments.fixing import read_fix
from infra.lab.githost import GitHost
from recovery.errors import Refused
from recovery.fix_scripts import LARGEST
from tasks.git import read_pull_script
from tasks.github import open_pull, read_pull
from tests.integration.github_shop import Shop, new_shop
from tests.integration.plain_git import git

BRANCH = "fix/currency"
FIX = "UPDATE orders SET currency = 'EUR' WHERE currency IS NULL;\n-- für alle\n"


@pytest.fixture(name="shop")
def _shop(host: GitHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    with new_shop(host, tmp_path, monkeypatch) as shop:
        git("checkout", "--quiet", "-b", BRANCH, "main", at=shop.clone)
        yield shop


def push(shop: Shop, files: dict[str, bytes]) -> int:
    """Commit the files on the branch; the number of its pull request."""
    for name, content in files.items():
        (shop.clone / name).parent.mkdir(parents=True, exist_ok=True)
        (shop.clone / name).write_bytes(content)
        git("add", name, at=shop.clone)
    git("commit", "--quiet", "-m", "Fix the currency", at=shop.clone)
    git("push", "--quiet", "origin", BRANCH, at=shop.clone, token=shop.host.token("ada"))
    return open_pull.fn(shop.proposal(head=BRANCH)).number


def script(shop: Shop, number: int, path: str | None = None) -> str:
    """What is read; git's own answers end without their last newline, which SQL does not need."""
    return read_pull_script.fn(shop.service, read_pull.fn(shop.service, number), path).text


def test_the_one_sql_file_is_read_as_it_stands(shop: Shop) -> None:
    """What else the pull request brings is passed over; what main got meanwhile is none of it."""
    number = push(shop, {"migrations/3.sql": FIX.encode(), "README.md": b"read me\n"})
    git("checkout", "--quiet", "main", at=shop.clone)
    (shop.clone / "other.sql").write_text("SELECT 1;\n")
    git("add", "other.sql", at=shop.clone)
    git("commit", "--quiet", "-m", "Another", at=shop.clone)
    git("push", "--quiet", "origin", "main", at=shop.clone, token=shop.host.token("ada"))

    assert script(shop, number) == FIX.rstrip()
    assert script(shop, number, "migrations/3.sql") == FIX.rstrip()


def test_a_merged_pull_request_still_tells_what_it_brought(shop: Shop) -> None:
    """Merged, and its branch gone: the script is read at its head all the same."""
    number = push(shop, {"migrations/3.sql": FIX.encode()})
    shop.send("PUT", f"/pulls/{number}/merge", merge_method="merge")
    git("push", "--quiet", "origin", "--delete", BRANCH, at=shop.clone, token=shop.host.token("ada"))

    assert script(shop, number) == FIX.rstrip()


def test_what_is_no_single_script_is_a_sentence(shop: Shop) -> None:
    """None, several, another path, too large, no UTF-8, no such number: each with the way out."""
    number = push(shop, {"README.md": b"read me\n"})
    with pytest.raises(Refused, match="brings no SQL file: name the pull request of the fix"):
        script(shop, number)
    push(shop, {"a.sql": b"SELECT 1;\n", "b.sql": b"\xff", "c.sql": b" " * (LARGEST + 1)})
    with pytest.raises(Refused, match=r"brings 3 SQL files: name one by --path: a\.sql, b\.sql, c\.sql"):
        script(shop, number)
    with pytest.raises(Refused, match=r"brings no file \$\(id\)\.sql: it brings a\.sql"):
        script(shop, number, "$(id).sql")
    with pytest.raises(Refused, match=r"b\.sql in .* is not UTF-8"):
        script(shop, number, "b.sql")
    with pytest.raises(Refused, match=r"c\.sql in .* and 131072 are taken"):
        script(shop, number, "c.sql")
    with pytest.raises(Refused, match="has no pull request #999"):
        script(shop, 999)


@pytest.mark.parametrize(
    ("file", "pull", "path"), [(None, None, None), (Path("fix.sql"), 4, None), (Path("fix.sql"), None, "a.sql")]
)
def test_the_fix_is_named_in_one_way(file: Path | None, pull: int | None, path: str | None) -> None:
    """By a file or by a pull request, and nothing is read before that is clear."""
    with pytest.raises(Refused, match="--pull NUMBER"):
        read_fix("shop", file, pull, path)
