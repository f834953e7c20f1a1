"""What the four servers of a control plane need before they start: ports, keys, users, command lines."""

import base64
import os
import secrets
from dataclasses import dataclass
from pathlib import Path

import yaml

from infra.lab.certificates import Certificates, issue, write_private
from infra.lab.process import LabError, free_port

DATA = Path(__file__).with_name("kubernetes")
LOCAL = "127.0.0.1"
USERS = {
    "admin": ("admin", "system:masters"),
    # Who acts in the lab is who acts in production: the service account that the manifests bind.
    "ripcord": ("system:serviceaccount:ripcord:ripcord", "system:serviceaccounts"),
    "pipeline": ("pipeline", "pipelines"),
}
# Upstream's 20 requests a second would make every rollout wait for the limiter.
CONTROLLER_RATE = "1000"
# ServiceAccount wants a token in every pod; TaintNodesByCondition leaves a taint that nobody here takes off.
UNWANTED_ADMISSION = "ServiceAccount,TaintNodesByCondition"
ISSUER = "https://kubernetes.default.svc"


@dataclass(frozen=True)
class Layout:
    """Where everything of one control plane lies and listens."""

    directory: Path
    certificates: Certificates
    tokens: Path
    admin_token: str
    port: int
    etcd_port: int
    etcd_peer_port: int
    kwok_port: int

    @property
    def server(self) -> str:
        """The API server's address."""
        return f"https://{LOCAL}:{self.port}"

    def kubeconfig(self, user: str) -> Path:
        """The kubeconfig of one of the users.

        Raises LabError when there is no such user.
        """
        if user not in USERS:
            raise LabError(f"no user {user!r} in the lab's cluster: it has {', '.join(USERS)}")
        return self.directory / f"{user}.kubeconfig"

    def environment(self) -> dict[str, str]:
        """What the servers and kubectl see: no secrets of ours, and no configuration of the user's home."""
        return {"PATH": os.environ.get("PATH", os.defpath), "HOME": str(self.directory)}


def lay_out(directory: Path) -> Layout:
    """Choose ports and write keys, tokens and kubeconfigs, all readable by their owner only."""
    tokens = {user: secrets.token_urlsafe(24) for user in USERS}
    rows = [f'{tokens[user]},{name},{user},"{group}"\n' for user, (name, group) in USERS.items()]
    layout = Layout(
        directory,
        issue(directory, "apiserver"),
        write_private(directory / "tokens.csv", "".join(rows).encode()),
        tokens["admin"],
        *(free_port() for _ in range(4)),
    )
    for user, token in tokens.items():
        write_private(layout.kubeconfig(user), _kubeconfig(layout, user, token).encode())
    return layout


def commands(box: Path, layout: Layout) -> dict[str, list[str]]:
    """The command line of each server; a secret is never in it, only the path of its file."""
    admin = f"--kubeconfig={layout.kubeconfig('admin')}"
    rates = [f"--kube-api-qps={CONTROLLER_RATE}", f"--kube-api-burst={CONTROLLER_RATE}"]
    nodes = ["--manage-all-nodes=true", f"--server-address={LOCAL}:{layout.kwok_port}"]
    return {
        "etcd": [str(box), "etcd", *_etcd_flags(layout)],
        "apiserver": [str(box), "kube-apiserver", *_apiserver_flags(layout)],
        "controllers": [str(box), "controllers", admin, *rates],
        "kwok": [str(box), "kwok", admin, f"--config={DATA / 'stages.yaml'}", *nodes],
    }


def _etcd_flags(layout: Layout) -> list[str]:
    client, peer = (f"http://{LOCAL}:{port}" for port in (layout.etcd_port, layout.etcd_peer_port))
    return [
        f"--data-dir={layout.directory / 'etcd'}",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=default={peer}",
        "--unsafe-no-fsync",
        "--log-level=warn",
    ]


def _apiserver_flags(layout: Layout) -> list[str]:
    files = layout.certificates
    return [
        f"--etcd-servers=http://{LOCAL}:{layout.etcd_port}",
        f"--bind-address={LOCAL}",
        f"--advertise-address={LOCAL}",
        f"--secure-port={layout.port}",
        f"--cert-dir={layout.directory}",
        f"--tls-cert-file={files.certificate}",
        f"--tls-private-key-file={files.key}",
        f"--token-auth-file={layout.tokens}",
        "--authorization-mode=RBAC",
        f"--service-account-issuer={ISSUER}",
        f"--api-audiences={ISSUER}",
        f"--service-account-key-file={files.signing_public_key}",
        f"--service-account-signing-key-file={files.signing_key}",
        "--service-cluster-ip-range=10.255.0.0/24",
        "--endpoint-reconciler-type=none",  # nobody in a pod looks for the API server
        f"--disable-admission-plugins={UNWANTED_ADMISSION}",
    ]


def _kubeconfig(layout: Layout, user: str, token: str) -> str:
    authority = base64.b64encode(layout.certificates.authority.read_bytes()).decode()
    cluster = {"server": layout.server, "certificate-authority-data": authority}
    return yaml.safe_dump(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "lab", "cluster": cluster}],
            "users": [{"name": user, "user": {"token": token}}],
            "contexts": [{"name": "lab", "context": {"cluster": "lab", "user": user}}],
            "current-context": "lab",
        }
    )
