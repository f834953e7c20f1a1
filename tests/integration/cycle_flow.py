"""A cycle of the monitor's kind, deployed by tests: it writes down that it ran, and takes its time."""

import os
import time
from pathlib import Path

from prefect import flow


@flow(name="cycle", flow_run_name="cycle")
def cycle() -> None:
    """Take as long as the test says."""
    with Path(os.environ["CYCLES"]).open("a") as file:
        file.write("begun\n")
    time.sleep(float(os.environ["CYCLE_SECONDS"]))
