"""Which commits count as verified: those signed with a key that somebody registered, and GitHub's own."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from infra.lab.github.bare import Bare, GitError
from infra.lab.github.store import Store

UNSIGNED = {"verified": False, "reason": "unsigned", "signature": None, "payload": None, "verified_at": None}


def signers(repositories: Path) -> Path:
    """The file of registered SSH keys, in ssh-keygen's form."""
    return repositories / "allowed_signers"


def verification(store: Store, bare: Bare, repository: str, sha: str) -> dict[str, Any]:
    """What GitHub says of a commit's signature."""
    own = store.first("own_commit", repository, sha=sha)
    if own is not None:
        payload = bare.git("cat-file", "commit", sha)
        return _said(
            "valid", "-----BEGIN PGP SIGNATURE-----\n(GitHub)\n-----END PGP SIGNATURE-----\n", payload, own["at"]
        )
    keys = signers(bare.path.parents[1])
    # Without a registered key nothing but GitHub's own commits can be verified: no need to look at each.
    if not keys.is_file():
        return UNSIGNED
    signature, payload = _parts(bare.git("cat-file", "commit", sha))
    if not signature:
        return UNSIGNED
    try:
        bare.git("-c", f"gpg.ssh.allowedSignersFile={keys}", "verify-commit", sha)
    except GitError:
        return _said("unknown_key", signature, payload, None)
    return _said("valid", signature, payload, bare.commit(sha).committer.date)


def unverified(store: Store, bare: Bare, repository: str, shas: Iterable[str]) -> list[str]:
    """Those of the commits that nobody can vouch for."""
    return [sha for sha in shas if not verification(store, bare, repository, sha)["verified"]]


def _said(reason: str, signature: str, payload: str, at: str | None) -> dict[str, Any]:
    verified = reason == "valid"
    return {"verified": verified, "reason": reason, "signature": signature, "payload": payload, "verified_at": at}


def _parts(raw: str) -> tuple[str, str]:
    """The signature, and the commit without it, which is what was signed."""
    head, _, message = raw.partition("\n\n")
    signature: list[str] = []
    kept: list[str] = []
    inside = False
    for line in head.split("\n"):
        inside = line.startswith("gpgsig ") or (inside and line.startswith(" "))
        (signature if inside else kept).append(line)
    text = "\n".join(line.removeprefix("gpgsig").removeprefix(" ") for line in signature)
    return text, "\n".join(kept) + "\n\n" + message
