"""Remember since when we are blind: a Prefect variable, the one thing that the world cannot say for us."""

import hashlib
from dataclasses import replace
from datetime import datetime

from prefect.variables import Variable

from recovery.readings import Watch
from recovery.verdicts import Answer, Verdict


def note_sight(watch: Watch, verdict: Verdict, trouble: str | None) -> Verdict:
    """Complete a blind verdict with what kept us from seeing and since when; forget a spell that is over.

    `trouble` says why nothing could be read (None: it could); then the spell began when we first noted it, not
    when the last point was made. While points are there again but leave a hole, it is still the same spell.
    """
    name = f"ripcord_blind_{hashlib.sha256(f'{watch.service}/{watch.version}'.encode()).hexdigest()[:24]}"
    known = Variable.get(name)
    if trouble is None and verdict.answer is not Answer.BLIND:
        if known is not None:
            Variable.unset(name)
        return verdict
    began = verdict.at if trouble else verdict.blind_since or verdict.at
    since = datetime.fromisoformat(str(known)) if known else began
    if known is None:
        Variable.set(name, since.isoformat(), tags=["blind"], overwrite=True)
    if trouble is None:
        return replace(verdict, blind_since=since)
    return replace(verdict, answer=Answer.BLIND, reason=trouble, findings=(), blind_since=since)
