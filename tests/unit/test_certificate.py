"""In which order a healthy release is certified: what is marked is looked at no more, and nothing is kept for it."""

from datetime import UTC, datetime, timedelta

import pytest

import flows.monitor
from recovery.catalog import Service
from recovery.errors import Unavailable
from recovery.readings import Watch
from recovery.verdicts import Answer, Verdict
from recovery.watching import Deed, Judged

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
SHOP = Service.model_validate(
    {
        "name": "shop", "namespace": "acme", "repository": "acme/shop",
        "database": {
            "url_variable": "SHOP_URL", "backups": "/b", "archive": "/a",
            "restore": {
                "sides": "/s", "parachute": True, "journal": True,
                "pgbouncer": {"admin_variable": "POOLER_URL", "databases_file": "/p/databases.ini", "alias": "shop"},
            },
        },
    }
)  # fmt: skip


def test_a_parachute_that_cannot_be_packed_yet_is_packed_by_the_next_cycle(monkeypatch: pytest.MonkeyPatch) -> None:
    """The release is still under watch then; a mark before it would leave the parachute standing for ever."""
    done: list[str] = []

    def pack(*given: object) -> None:
        done.append("pack")
        if done.count("pack") == 1:
            raise Unavailable("the disk does not answer")

    monkeypatch.setattr(flows.monitor, "write_status", lambda *given: done.append("status"))
    monkeypatch.setattr(flows.monitor, "mark_revision", lambda *given: done.append("mark"))
    monkeypatch.setattr(flows.monitor, "pack_parachute", pack)
    monkeypatch.setattr(flows.monitor, "drop_journals", lambda *given: done.append("drop"))
    watch = Watch("shop", "v1.2.0", NOW - timedelta(hours=1), NOW)
    judged = Judged(watch, Verdict(Answer.HEALTHY, "an hour went well", NOW), Deed.CERTIFY)

    with pytest.raises(Unavailable):
        flows.monitor.certify(SHOP, judged)
    flows.monitor.certify(SHOP, judged)

    assert done == ["status", "pack", "status", "pack", "drop", "mark"]
