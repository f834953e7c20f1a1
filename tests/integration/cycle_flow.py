"""A cycle of the monitor's kind, deployed by tests: it writes down that it began, and ends when it may."""

import os
import time
from pathlib import Path

from prefect import flow


@flow(name="cycle", flow_run_name="cycle")
def cycle() -> None:
    """Run until the test makes the file that ends it, or for ten minutes: a test that died ends no cycle."""
    with Path(os.environ["CYCLES"]).open("a") as file:
        file.write("begun\n")
    last = time.monotonic() + 600
    while not Path(os.environ["CYCLES_MAY_END"]).exists() and time.monotonic() < last:
        time.sleep(0.1)
