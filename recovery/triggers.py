"""When is a release bad enough to take back?

Pure: all that was measured comes in, one verdict with its reason goes out. In this order: what cannot be
trusted is `blind`; a limit broken beyond chance, for long enough and still, is a `breach`, unless the trouble is
older than the release; all else is `watch`, until the watch is over and enough was seen to say `healthy`.
"""

from collections.abc import Sequence
from datetime import datetime

from recovery.catalog import Limits
from recovery.evidence import KINDS, Blindness, Kind, coverage, in_order, show, silence, unfit
from recovery.readings import Point, Watch
from recovery.shares import Held, hold, signals, tally
from recovery.verdicts import Answer, Verdict

COVERAGE = 0.9  # share of the steps of a watch that must have been seen before its release is certified


def judge(watch: Watch, points: Sequence[Point], before: Sequence[Point], limits: Limits, now: datetime) -> Verdict:
    """Answer what the points of a watch call for; `before` are points of any version from before the release.

    The order of the points and points that come twice change nothing; after the end of the watch later points
    are ignored. A finding may be breached where the answer is `watch`: then the trouble is older than the release.
    """
    record = in_order(points, watch.since, watch.until)
    if blindness := unfit(record, watch, limits, now):
        return _blind([blindness], (), now)

    good = [point for point in record if point.readable]
    earlier = [point for point in in_order(before, watch.since - limits.window, watch.since) if point.readable]
    kinds = _expected_kinds(good, earlier)
    gaps = [gap for kind in kinds if (gap := silence(kind, kind.of(good), watch, limits, now))]
    blind_kinds = {gap.kind for gap in gaps}
    held = [
        hold(signal, signal.kind.of(good), signal.kind.of(earlier), watch, limits)
        for signal in signals(limits)
        if signal.kind not in blind_kinds and signal.kind.of(good)
    ]

    # What is seen clearly and now is acted on, even while the other kind of evidence is missing.
    if any(each.guilty for each in held):
        return _breach(held, good[-1].at, watch, limits, now)
    if gaps:
        return _blind(gaps, held, now)
    if any(each.excuse for each in held):
        excuses = "; ".join(each.excuse for each in held if each.excuse)
        return _verdict(Answer.WATCH, f"the trouble began before the release: {excuses}", held, now)
    if now < watch.until:
        reason = f"no breach in {show(now - watch.since)}, {show(watch.until - now)} to go: {_arithmetic(held)}"
        return _verdict(Answer.WATCH, reason, held, now)
    doubts = _doubts(record, kinds, watch, limits)
    if doubts:
        return _verdict(Answer.WATCH, f"not enough evidence to certify: {'; '.join(doubts)}", held, now)
    reason = f"no breach in {show(watch.until - watch.since)}: {_arithmetic(held)}"
    return _verdict(Answer.HEALTHY, reason, held, now)


def _expected_kinds(good: Sequence[Point], earlier: Sequence[Point]) -> list[Kind]:
    """The kinds of evidence this service has, or had: one it never had is not missed, one it lost is."""
    kinds = [kind for kind in KINDS if kind.of(good) or kind.of(earlier)]
    return kinds or [KINDS[0]]


def _breach(held: Sequence[Held], last: datetime, watch: Watch, limits: Limits, now: datetime) -> Verdict:
    reason = "; ".join(each.finding.arithmetic for each in held if each.guilty)
    if now - watch.until > limits.blind_after:
        # Nobody looked when it happened: whether it still happens, these points cannot tell.
        late = f"in breach when the watch ended {show(now - watch.until)} ago, too old to act on: {reason}"
        return _verdict(Answer.BLIND, late, held, now, blind_since=last)
    return _verdict(Answer.BREACH, reason, held, now)


def _blind(gaps: Sequence[Blindness], held: Sequence[Held], now: datetime) -> Verdict:
    reason = "; ".join(gap.reason for gap in gaps)
    return _verdict(Answer.BLIND, reason, held, now, blind_since=min(gap.since for gap in gaps))


def _doubts(record: Sequence[Point], kinds: Sequence[Kind], watch: Watch, limits: Limits) -> list[str]:
    """What stands against a certificate, each in a sentence; the whole watch counts, not only its last window."""
    good = [point for point in record if point.readable]
    doubts = []
    for kind in kinds:
        seen = coverage(kind.of(good), watch)
        if seen < COVERAGE:
            doubts.append(f"{kind.name} were seen in {seen:.0%} of the watch, {COVERAGE:.0%} are needed")
    if len(good) < len(record):
        doubts.append(f"{len(record) - len(good)} points hold numbers that cannot be true")
    tallies = [(signal, tally(signal, signal.kind.of(good), watch.since, watch.until)) for signal in signals(limits)]
    if all(whole.total < signal.certifying for signal, whole in tallies):
        doubts.append(", ".join(dict.fromkeys(signal.few(whole) for signal, whole in tallies)))
    for signal, whole in tallies:
        if whole.bad >= signal.minimum_bad and whole.share > signal.limit:
            doubts.append(f"over the whole watch {signal.sentence(whole)}")
    return doubts


def _arithmetic(held: Sequence[Held]) -> str:
    return "; ".join(each.finding.arithmetic for each in held) or "no points yet"


def _verdict(
    answer: Answer, reason: str, held: Sequence[Held], now: datetime, blind_since: datetime | None = None
) -> Verdict:
    return Verdict(answer, reason, now, tuple(each.finding for each in held), blind_since)
