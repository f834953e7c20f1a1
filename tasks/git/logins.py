"""How git is let in, and told nothing else: the token of this moment, to one host alone, and the key that signs."""

import base64
import os
import re
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import httpx

from recovery.errors import Refused, Unavailable
from tasks.credentials import token_for
from tasks.settings import Settings, read_settings

MOVES = 5  # of a repository that was renamed, and again
_MOVED = re.compile(r"returned error: 30[1278]\b")
_LOOK = "/info/refs?service=git-upload-pack"


def login_to(url: str, repository: str) -> Callable[[], dict[str, str]]:
    """What to add to git's environment, made anew for each command: a token may end while a step goes on."""

    def login() -> dict[str, str]:
        token = token_for(repository)
        return {"RIPCORD_GIT_PASSWORD": token, **_configuration(read_settings(), url, token)}

    return login


def keyring() -> dict[str, str]:
    """Where OpenPGP's keys are, which git's temporary home would hide; nothing where none of them signs."""
    settings = read_settings()
    if not settings.signing_key or settings.signing_format != "openpgp":
        return {}
    home = os.environ.get("GNUPGHOME") or str(Path("~/.gnupg").expanduser())
    return {"GNUPGHOME": home}


def is_moved(said: str) -> bool:
    """Whether git was sent to another address, where we let it not go by itself."""
    return bool(_MOVED.search(said))


def moved_to(url: str, repository: str) -> str:
    """The present address of a renamed repository, on the same host: git itself would take the token to any other.

    Raises Refused where it leads elsewhere or in a circle, Unavailable where nobody answers.
    """
    token, at = token_for(repository), f"{url}{_LOOK}"
    headers = {"Authorization": _basic(token)} if token else {}
    try:
        with httpx.Client(timeout=read_settings().request_timeout, headers=headers) as client:
            for _ in range(MOVES + 1):
                answer = client.get(at)
                if not answer.has_redirect_location:
                    return at.removesuffix(_LOOK)
                at = urljoin(at, answer.headers["location"])
                _stays(url, at)
    except httpx.HTTPError as error:
        raise Unavailable(f"{url} did not answer: {' '.join(str(error).split())[:200]}") from None
    raise Refused(f"{url} sends us in a circle: name the repository in the catalogue as it is called now")


def _stays(url: str, at: str) -> None:
    here, to = urlsplit(url), urlsplit(at)
    if (here.scheme, here.netloc) != (to.scheme, to.netloc) or not at.endswith(_LOOK):
        raise Refused(
            f"{url} sends us to {to.scheme}://{to.hostname}, where our token does not go: "
            "set RIPCORD_GITHUB_GIT_URL to where the repositories are"
        )


def _basic(token: str) -> str:
    return f"Basic {base64.b64encode(f'x-access-token:{token}'.encode()).decode()}"


def _configuration(settings: Settings, url: str, token: str) -> dict[str, str]:
    """All the configuration there is: no hooks, no helpers, and the key that signs, if there is one."""
    pairs = {"core.hooksPath": os.devnull, "credential.helper": "", "core.quotePath": "true"}
    pairs["maintenance.auto"] = "false"  # else every fetch starts two processes more, for a repository of seconds
    pairs["pack.window"] = "0"  # else a push first fetches the files of before, only to send differences to them
    pairs["http.followRedirects"] = "false"  # else git sends the token to whatever host it is sent to
    if token:  # sent at once: git itself first asks without, is declined, and starts two processes for name and token
        pairs[f"http.{url}.extraHeader"] = f"Authorization: {_basic(token)}"
    if settings.signing_key:
        pairs |= {"user.signingKey": settings.signing_key, "gpg.format": settings.signing_format}
    made = {"GIT_CONFIG_COUNT": str(len(pairs))}
    for number, (key, value) in enumerate(pairs.items()):
        made |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
    return made
