"""Walk in children that are forked and not started anew: to import all costs more than to walk.

One JSON object a line on standard input says which walk: {"walk": "gate", "effect": 7, "environment": {...}}.
Prints each effect of the child and then its exit status; effect 0 walks to the end.
"""

import json
import os
import sys
import traceback
from collections.abc import Callable


def serve(walk: Callable[[str, int], object]) -> None:
    """Fork a child for every line, and say how it ended."""
    for line in sys.stdin:
        asked = json.loads(line)
        child = os.fork()
        if child == 0:
            status = 1
            try:
                os.environ.update(asked["environment"])
                walk(asked["walk"], asked["effect"])
                status = 0
            except BaseException:
                traceback.print_exc()
            finally:
                sys.stdout.flush()
                os._exit(status)
        ended = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        sys.stdout.write(f"ended {ended}\n")
        sys.stdout.flush()
