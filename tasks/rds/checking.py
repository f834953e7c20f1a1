"""Whether a database on RDS could be taken back tonight: what may be read is read, and nothing is changed."""

from recovery.catalog import Service
from recovery.rds_gates import judge_gate
from tasks.rds.reading import look


def check_rds(service: Service) -> str:
    """What stands of the way back, in a sentence. Raises Refused naming what is missing, Unavailable on silence."""
    rds = service.rds
    if rds is None:
        return "none in the catalogue"
    seen = look(rds, rds.name)
    said = judge_gate(rds, seen)
    latest = f", can be restored up to {seen.latest:%H:%M:%S} UTC" if seen and seen.latest else ""
    protected = "" if seen and seen.settings.get("DeletionProtection") else "; deletion protection is off"
    return f"{said}{latest}{protected}"
