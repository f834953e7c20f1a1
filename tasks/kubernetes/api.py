"""One request to the API server: raw JSON in and out, its refusals and silences turned into ours.

Raw, because a typed round trip drops fields that the client does not know and so makes a template of its own.
"""

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

import urllib3
from kubernetes import client, config

from recovery.errors import Refused, Unavailable
from tasks.settings import read_settings

Json = dict[str, Any]


class Missing(Refused):
    """What was asked for does not exist."""


class Conflicting(Refused):
    """What was to be made exists already, or what was to be changed is not what it was."""


def request(
    method: str, path: str, body: Json | list[Json] | None = None, kind: str = "application/json-patch+json"
) -> Json:
    """One request to the API server, raw JSON in and out; its refusals and silences become ours."""
    settings = read_settings()
    api = _api(settings.kubeconfig)
    headers = {"Accept": "application/json"} | ({"Content-Type": kind} if body is not None else {})
    call = api.param_serialize(method, path, header_params=headers, body=body, auth_settings=["BearerToken"])
    try:
        answer = api.call_api(*call, _request_timeout=settings.request_timeout)
        text = answer.read()
    except (urllib3.exceptions.HTTPError, client.exceptions.ApiException) as error:
        raise Unavailable(f"the cluster at {api.configuration.host} did not answer: {_short(error)}") from error
    if answer.status >= 400:
        raise _refusal(answer.status, method, path, text)
    result: Json = json.loads(text)
    return result


def _refusal(status: int, method: str, path: str, text: bytes) -> Refused | Unavailable:
    try:
        message = str(json.loads(text).get("message", ""))
    except ValueError:
        message = text[:200].decode(errors="replace")
    thing = path.partition("?")[0].removeprefix("/apis/apps/v1/")
    if status in (401, 403):
        return Refused(f"the cluster does not allow {method} {thing}: {message}; grant it with infra/kubernetes")
    if status == 404:
        return Missing(f"the cluster has no {thing}: check name and namespace in the catalogue")
    if status == 422 and method == "POST":
        return Refused(f"the cluster does not take this {thing}: {message}")
    if status in (409, 422):
        return Conflicting(f"{thing} was changed by somebody else meanwhile ({message}): plan again")
    return Unavailable(f"the cluster answered {status} to {method} {thing}: {message}")


@lru_cache(maxsize=4)
def _api(kubeconfig: Path | None) -> client.ApiClient:
    """One connection pool per cluster; threads share it."""
    settings = client.Configuration()
    try:
        if kubeconfig is None:
            config.load_incluster_config(client_configuration=settings)
        else:
            config.load_kube_config(str(kubeconfig), client_configuration=settings)
    except (config.ConfigException, OSError, ValueError) as error:
        where = f"kubeconfig {kubeconfig}" if kubeconfig else "no pod's service account and no RIPCORD_KUBECONFIG"
        raise Refused(f"{where}: {_short(error)}; set RIPCORD_KUBECONFIG to a readable file") from error
    settings.retries = False
    return client.ApiClient(settings)


def _short(error: BaseException) -> str:
    return " ".join(str(error).split())[:300]


def deployment_path(namespace: str, name: str) -> str:
    return f"/apis/apps/v1/namespaces/{namespace}/deployments/{name}"


def replica_set_path(namespace: str, name: str) -> str:
    return f"/apis/apps/v1/namespaces/{namespace}/replicasets/{name}"
