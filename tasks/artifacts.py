"""Show an answer where people look: one artifact per answer in the Prefect UI."""

import re

from prefect import task
from prefect.artifacts import create_markdown_artifact

from tasks.retry import ON_UNAVAILABLE


@task(name="show", task_run_name="show {key}", **ON_UNAVAILABLE)
def show(key: str, markdown: str, description: str) -> str:
    """Publish a Markdown artifact as a step of its own; returns its key."""
    return publish(key, markdown, description)


def publish(key: str, markdown: str, description: str) -> str:
    """Publish a Markdown artifact under a key made of lower case letters, digits and dashes; returns the key."""
    safe = re.sub(r"[^a-z0-9-]+", "-", key.lower()).strip("-")
    create_markdown_artifact(markdown, key=safe, description=description)
    return safe
