"""What a drill's measures mean, at, below and above every promise; and what people hear of it, once."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from recovery.drill_wording import show_drill
from recovery.drills import (
    Drill,
    DrillsFailed,
    Finding,
    Live,
    Phases,
    Promise,
    choose_set,
    failed_drill,
    hold_all,
    judge_drill,
    judge_room,
    measure_lag,
    news_of,
)
from recovery.errors import Refused, Unavailable
from recovery.restore_points import State, Then, WayBack

NOW = datetime(2026, 1, 8, 3, tzinfo=UTC)
EMPTY = State({}, {}, (), {}, {}, "")
THEN = Then("shop", "v1.2.0", "shop-v1.2.0-1-abc", "0/3000090", 1, "7", NOW - timedelta(hours=2), EMPTY, EMPTY)
PHASES = Phases(copy=3.0, replay=2.0, verify=1.0, promote=0.5)
LIVE = Live(NOW, None, NOW - timedelta(minutes=1), None, 4096)
HELD = WayBack(True, "as it was", THEN.name, 5.5)
WEEK = timedelta(days=7)


def judged(promise: Promise = Promise(), live: Live = LIVE, way: WayBack = HELD) -> Drill:  # noqa: B008 frozen
    """A drill with one thing changed."""
    return judge_drill(THEN, way, PHASES, promise, live)


@pytest.mark.parametrize(
    ("rto", "finding"), [(6.4, Finding.SLOW), (6.5, Finding.HELD), (6.6, Finding.HELD), (None, Finding.HELD)]
)
def test_all_phases_count_against_the_promised_time(rto: float | None, finding: Finding) -> None:
    """Below it is too slow, at it is not; nothing promised is nothing broken."""
    drill = judged(Promise(rto=timedelta(seconds=rto) if rto else None))

    assert drill.finding is finding
    assert drill.phases == PHASES
    assert drill.held or "a restore took 6.5 s and `rto` promises 6.4s, most of it the copy with 3.0 s" in drill.said


@pytest.mark.parametrize(("minutes", "finding"), [(119, Finding.OLD), (120, Finding.HELD), (121, Finding.HELD)])
def test_the_points_age_counts_against_the_promised_loss(minutes: int, finding: Finding) -> None:
    """The newest proved point is where a restore would end."""
    assert judged(Promise(rpo=timedelta(minutes=minutes))).finding is finding


def test_what_is_not_known_never_reads_as_held() -> None:
    """A server that is silent, and an archiver that fails, fail the drill of a set that is sound."""
    silent = judged(live=Live(NOW, "the database did not answer"))
    failing = judged(live=replace(LIVE, failing="000000010000000000000007"))

    assert (silent.finding, failing.finding) == (Finding.BLIND, Finding.BEHIND)
    assert silent.said.endswith("the database did not answer")
    assert "the archiver fails with 000000010000000000000007" in failing.said


def test_everything_wrong_is_said_and_the_worst_is_the_finding() -> None:
    """Broken outranks slow, slow old, old behind."""
    drill = judged(
        Promise(timedelta(seconds=1), timedelta(seconds=1)),
        replace(LIVE, failing="00"),
        WayBack(False, "table orders has 1 rows and not 2"),
    )

    assert drill.finding is Finding.BROKEN
    assert [word in drill.said for word in ("1 rows and not 2", "`rto`", "`rpo`", "archiver")] == [True] * 4


def test_a_drill_that_did_not_come_to_its_end_says_why() -> None:
    """No set, a damaged one, and a system that did not answer are three findings."""
    found = [
        failed_drill("shop", Refused("none"), LIVE).finding,
        failed_drill("shop", Refused("damaged"), LIVE, THEN).finding,
        failed_drill("shop", Unavailable("the disk is full"), LIVE, THEN).finding,
    ]

    assert found == [Finding.NO_SET, Finding.BROKEN, Finding.BLIND]


def test_the_newest_proved_set_is_drilled() -> None:
    """Whatever their order; none is a refusal with the way out."""
    older = replace(THEN, name="older", lsn="0/1", made_at=THEN.made_at - timedelta(seconds=1))

    assert choose_set("shop", [THEN, older]) is THEN
    assert choose_set("shop", [older, THEN]) is THEN
    with pytest.raises(Refused, match="no way back: run `ripcord gate shop VERSION`"):
        choose_set("shop", [])


@pytest.mark.parametrize(("free", "fits"), [(1_199, False), (1_200, True), (1_201, True)])
def test_a_copy_needs_room_with_a_margin(free: int, fits: bool) -> None:
    """A fifth more than the set."""
    if fits:
        judge_room(free, 1_000, "/sets")
    else:
        with pytest.raises(Refused, match="/sets has 0 MB free"):
            judge_room(free, 1_000, "/sets")


@pytest.mark.parametrize(
    ("lsn", "archived", "lag"),
    [
        ("0/3000090", "000000010000000000000002", 0x90),
        ("0/3000000", "000000010000000000000002", 0),
        ("0/2FFFFFF", "000000010000000000000002", 0),
        ("1/0", "0000000100000000000000FF", 0),
        ("1/1000000", "0000000100000000000000FF", 16 << 20),
        ("0/3000090", "000000010000000000000002.00000028.backup", 0x90),
        ("0/3000090", "00000002.history", None),
        ("0/3000090", "", None),
    ],
)
def test_the_archives_lag_is_what_lies_behind_its_newest_segment(lsn: str, archived: str, lag: int | None) -> None:
    """Across the border of a log file, too; a name that tells no position tells no lag."""
    assert measure_lag(lsn, archived, 16 << 20) == lag


def test_a_failing_state_is_told_once() -> None:
    """Four failing weeks, then a sound one, then a failing one: four messages, and each has its own identity."""
    findings = [
        Finding.HELD, Finding.SLOW, Finding.SLOW, Finding.BROKEN,
        Finding.SLOW, Finding.HELD, Finding.HELD, Finding.SLOW,
    ]  # fmt: skip
    history: list[Drill] = []
    told = []
    for number, finding in enumerate(findings):
        drill = replace(judged(), at=NOW + number * WEEK, finding=finding, said=f"in {number} s")
        news = news_of(drill, history)
        told.append(news.identity if news else None)
        history.append(drill)

    slow, broken, again, later = told[1], told[3], told[5], told[7]
    assert told == [None, slow, slow, broken, slow, again, None, later]
    assert None not in (slow, broken, again, later)
    assert len({slow, broken, again, later}) == 4
    # A run that is started again finds its own line in the history, and says the same.
    assert [each and each.identity for each in (news_of(drill, history) for drill in history)] == told


def test_one_failed_drill_fails_the_run_and_names_them_all() -> None:
    """In the order of the catalogue; where nothing failed, each sentence stands."""
    bad, good = replace(judged(), service="depot", finding=Finding.SLOW, said="slow"), judged()

    with pytest.raises(DrillsFailed, match=r"1 of 2 drills failed: depot: too slow, slow$"):
        hold_all([good, bad])
    assert hold_all([good]).startswith("shop: shop-v1.2.0-1-abc was restored in 6.5 s and is what it was; the point")
    assert hold_all([]) == "no service has a database to be drilled"


def test_the_artifact_has_the_measures_and_the_drills_before() -> None:
    """Each phase, what is promised, and a history that obeys nobody's Markdown."""
    before = [replace(judged(), at=NOW - WEEK, finding=Finding.SLOW, said="a | b <script>")]

    page = show_drill(judged(Promise(rto=timedelta(seconds=10))), before, Promise(rto=timedelta(seconds=10)))

    for line in ("| copy | 3.0 s |  |", "| **set to a server that takes writes (RTO)** | 6.5 s | 10s |"):
        assert line in page
    assert "| **age of the newest proved point (RPO)** | 2 h | nothing |" in page
    assert "| 2026-01-01 03:00 | **failed** | 6.5 s | shop-v1.2.0-1-abc | a \\| b \\<script\\> |" in page
    assert "It is the first." in show_drill(judged(), [], Promise())
