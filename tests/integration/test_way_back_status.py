"""The whole gate with its answer on the tag's commit, on the lab's GitHub and PostgreSQL."""

from pathlib import Path

import pytest

import flows.prepare_release
from infra.lab.githost import GitHost
from infra.lab.postgres import postgres
from recovery.databases import Smoke
from recovery.errors import Refused
from tests.integration import github_shop
from tests.integration.way_back import new_shop


def test_yes_and_no_stand_on_the_tags_commit(host: GitHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Refused is a failure with its reason; allowed unproved is a success that says so; proved is another one.

    A repeat that only counts and times otherwise writes nothing.
    """
    with (
        postgres(tmp_path / "archiving", archiving=True) as server,
        new_shop(server, "shop", monkeypatch) as shop,
        github_shop.new_shop(host, tmp_path, monkeypatch) as repository,
    ):
        monkeypatch.setenv("RIPCORD_LOCK_URL", server.dsn())

        def gate(**changes: object) -> tuple[str, str, str]:
            database = shop.database.model_copy(update=changes)
            entry = repository.service.model_copy(update={"database": database})
            monkeypatch.setattr(flows.prepare_release, "read_service", lambda name: entry)
            try:
                flows.prepare_release.prepare_release.fn("shop", "v1.2.0", rehearse=False)
            finally:
                newest = repository.get("/commits/v1.2.0/statuses")[0]
            return newest["context"], newest["state"], newest["description"]

        wrong = (Smoke(sql="SELECT 1", equals="2"),)
        with pytest.raises(Refused, match="returned 1 and not 2"):
            gate(smoke=wrong)
        newest = repository.get("/commits/v1.2.0/statuses")[0]
        assert (newest["context"], newest["state"]) == ("ripcord/gate", "failure")

        context, state, said = gate(smoke=wrong, allow_unproved=True)
        assert (context, state) == ("ripcord/gate", "success")
        assert "unproved" in said
        context, state, said = gate()
        assert (context, state) == ("ripcord/gate", "success")
        assert "a copy was restored to" in said
        assert "unproved" not in said
        written = len(repository.get("/commits/v1.2.0/statuses"))
        assert gate() == (context, state, said)
        assert len(repository.get("/commits/v1.2.0/statuses")) == written
