"""The README says what there is."""

import re
from pathlib import Path

from tasks.settings import Settings

README = (Path(__file__).parents[2] / "README.md").read_text()


def test_the_table_of_settings_names_each_variable_once_and_no_other() -> None:
    """Its rows hold exactly the fields of `tasks/settings.py`."""
    rows = [line.split("|")[1] for line in README.splitlines() if line.startswith("| `RIPCORD_")]
    named = re.findall(r"RIPCORD_\w+", "".join(rows))

    assert sorted(named) == sorted(f"RIPCORD_{field.upper()}" for field in Settings.model_fields)
