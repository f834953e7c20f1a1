"""How a client's way to one Cluster becomes the way to another: by the names of the operator's Services."""

import re

from recovery.errors import Refused

CLUSTER_LABEL = "cnpg.io/cluster"  # by which the operator's own Services select, and those of a team's own may


def moved_host(host: str, damaged: str, restored: str) -> str | None:
    """The host that stands for the same of another Cluster's Services; None where it is that one's already.

    `rw`, `ro` and `r`, and the domain after it, stay. Raises Refused for a host of neither Cluster.
    """
    parts = re.fullmatch(r"([a-z][a-z0-9-]*)-(rw|ro|r)((?:\..*)?)", host)
    if parts and parts[1] == restored:
        return None
    if parts is None or parts[1] != damaged:
        raise Refused(
            f"clients are led to {host}, which is no Service of {damaged}: lead them to {damaged}-rw, or name the "
            "Cluster that serves them in `cluster`"
        )
    return f"{restored}-{parts[2]}{parts[3]}"


def moved_selector(selected: str | None, damaged: str, restored: str) -> str | None:
    """The same for a Service that selects pods by their Cluster."""
    if selected == restored:
        return None
    if selected != damaged:
        what = f"those of {selected}" if selected else f"nothing by {CLUSTER_LABEL}"
        raise Refused(f"the Service selects {what} and not {damaged}: select by {CLUSTER_LABEL}: {damaged}")
    return restored
