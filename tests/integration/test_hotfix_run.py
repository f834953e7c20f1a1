"""A hotfix as a run on a real Prefect server: suspended for a person, gone on with, retried after people mended."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

import flows.hotfix
from infra.lab.githost import GitHost
from infra.lab.postgres import Postgres
from recovery.incidents import Cause
from tasks.runs import Launched, launch_hotfix
from tests.integration.asked_runs import AskedRuns, asked_runs, need_trigrams
from tests.integration.hotfixing import NOW, Work, team_of
from tests.integration.plain_git import git, rest

CAUSE = Cause(sentence="checkout: 7 of 12 probes failed", seen_at=NOW)
ASIDE = ("watch_pipeline", "mark_patch", "wait_until_settled", "wait_until_recovered")


@pytest.fixture(name="work")
def _work(host: GitHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Work]:
    with team_of(host, tmp_path, monkeypatch) as work:
        work.coupons()
        for tag in ("v1.1.0", "v1.2.0"):
            api(work, "POST", "/releases", tag_name=tag, name=tag)
        yield work


@pytest.fixture(name="runs")
def _runs(work: Work, tmp_path: Path, database: Postgres, monkeypatch: pytest.MonkeyPatch) -> Iterator[AskedRuns]:
    """The flow deployed; what speaks to the cluster stands aside, and so does the report."""
    need_trigrams(database)
    entry = {"name": "shop", "namespace": "acme", "repository": work.repository}
    (tmp_path / "services.yaml").write_text(yaml.safe_dump({"services": [entry]}))
    monkeypatch.setenv("RIPCORD_CATALOGUE", str(tmp_path / "services.yaml"))
    monkeypatch.setenv("RIPCORD_LOCK_URL", database.dsn("postgres"))
    monkeypatch.setenv("RIPCORD_ARCHIVE", str(tmp_path / "archive"))
    for name in ASIDE:
        monkeypatch.setattr(flows.hotfix, name, lambda *told, **more: None)
    monkeypatch.setattr(flows.hotfix, "report_hotfix", lambda *told: "told")
    with asked_runs(flows.hotfix.hotfix, tmp_path, database, tmp_path / "archive") as runs:
        yield runs


def api(work: Work, method: str, path: str, **body: Any) -> Any:
    """What a person does on GitHub."""
    answer = rest(work.host, work.host.token("team"), method, f"/repos/{work.repository}{path}", **body)
    return answer.raise_for_status().json()


def launched(number: int) -> Launched:
    """The run with this number; the tests of this file share the server's database."""
    return launch_hotfix.fn("shop", "v1.2.0", CAUSE, "migrations", number=number)


def prepared(runs: AskedRuns, number: int) -> str:
    """The run of a hotfix that waits for a person."""
    run = launched(number)
    assert (run.failed, run.fresh) == (False, True)
    assert runs.go_on(run.run_id) == "PAUSED"
    return run.run_id


def test_what_a_person_merged_while_the_form_waited_is_tagged_and_published(work: Work, runs: AskedRuns) -> None:
    """Whatever they then answer: a no is asked again, since there is nothing left to abandon."""
    run = prepared(runs, 1)
    work.git("switch", "--quiet", "main")
    merged = work.merge("hotfix/v1.2.1", delete=True)

    runs.answer(run, answer="abandon")
    assert runs.go_on(run) == "PAUSED"
    runs.answer(run, answer="own commits are pushed")
    assert runs.go_on(run) == "COMPLETED", runs.why(run)

    assert git("rev-parse", "v1.2.1^{commit}", at=work.bare) == merged
    assert [each["tag_name"] for each in api(work, "GET", "/releases")].count("v1.2.1") == 1


def test_retry_merges_what_people_mended_on_the_branch_after_a_check_had_failed(work: Work, runs: AskedRuns) -> None:
    """The answer is kept, what stands on the branch is not: it is read anew."""
    work.host.protect(work.repository, "main", ("test",), ruleset=True)
    run = prepared(runs, 2)
    work.host.set_check(work.repository, "refs/heads/hotfix/v1.2.1", "test", "failure")
    runs.answer(run, answer="take the proposal")
    assert runs.go_on(run) == "FAILED"
    assert launched(2).failed

    work.git("fetch", "--quiet", "origin")
    work.git("switch", "--quiet", "hotfix/v1.2.1")
    mended = work.write("Mend it properly", {"shop/checkout.py": "def checkout():\n    return 'mended'\n"})
    work.push()
    work.host.set_check(work.repository, "refs/heads/hotfix/v1.2.1", "test", "success")
    assert runs.go_on(run) == "COMPLETED", runs.why(run)

    assert git("merge-base", "v1.2.1", mended, at=work.bare) == mended
    assert git("show", "v1.2.1:shop/checkout.py", at=work.bare).endswith("return 'mended'")
