"""Tell people, each message once: by a file in the archive and by every Apprise address that is set."""

import hashlib
import json
import logging

import apprise
from prefect import task
from prefect.variables import Variable

from recovery.errors import Unavailable
from tasks.archive import keep
from tasks.retry import ON_UNAVAILABLE, spoken
from tasks.settings import read_settings

# Apprise names the whole address, secrets included, in its debug log.
logging.getLogger("apprise").setLevel(logging.WARNING)


@task(name="notify", task_run_name="tell: {title}", **ON_UNAVAILABLE)
@spoken
def notify(identity: str, title: str, text: str) -> str:
    """Tell the stakeholders; says what was done.

    `identity` names the message for ever: a Prefect variable remembers that it was told, so that a repeat is
    silent, and the message file's name is made from it. A receiver that keeps HTTP headers finds it there as
    `Idempotency-Key`, for the one case left: a crash after the sending and before the remembering.

    Raises Unavailable while an address does not take the message; the file is written all the same.
    """
    told = variable_of(identity)
    if _remembered(told):
        return f"skipped: {title!r} was told before"
    _write_file(identity, title, text)
    addresses = read_settings().notify_urls.get_secret_value().split()
    failed = [number for number, url in enumerate(addresses, 1) if not _send(url, identity, title, text)]
    if failed:
        raise Unavailable(f"address {failed[0]} of {len(addresses)} in RIPCORD_NOTIFY_URLS did not take the message")
    Variable.set(told, title[:500], tags=["told"], overwrite=True)
    return f"told {len(addresses)} addresses: {title}"


def variable_of(identity: str) -> str:
    """The Prefect variable that remembers a message: letters, digits and underscores only."""
    return f"ripcord_told_{hashlib.sha256(identity.encode()).hexdigest()[:24]}"


def _remembered(name: str) -> bool:
    return Variable.get(name) is not None


def _write_file(identity: str, title: str, text: str) -> None:
    content = json.dumps({"identity": identity, "title": title, "text": text}, indent=2) + "\n"
    keep(read_settings().archive / "messages" / f"{variable_of(identity)}.json", content.encode())


def _send(url: str, identity: str, title: str, text: str) -> bool:
    if url.startswith(("json://", "jsons://")):
        url += f"{'&' if '?' in url else '?'}+Idempotency-Key={variable_of(identity)}"
    sender = apprise.Apprise()
    return bool(sender.add(url)) and bool(sender.notify(title=title, body=text))
