"""The demo's claims, each checked by something that is not ours: kubectl, plain git, Prometheus, the customers."""

import json
import os
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import httpx

from infra.lab.world import World


@dataclass(frozen=True, slots=True)
class Claim:
    """What is claimed, the command that anyone can run, and what it printed."""

    what: str
    command: str
    holds: bool
    seen: str


def check_claims(lab: World, service: str, good: str, faulty: str, patch: str) -> list[Claim]:
    """Check everything that the demo says has happened."""
    return [
        *_cluster(lab, service, patch),
        *_source(lab, service, good, faulty, patch),
        _customers(lab, service, faulty),
        _metrics(lab, service, patch),
        _told(lab, service, patch, good),
    ]


def _cluster(lab: World, service: str, patch: str) -> list[Claim]:
    image = lab.version_served(service)
    ready = lab.cluster.kubectl("-n", "acme", "rollout", "status", f"deployment/{service}", "--timeout=30s")
    kubectl = f"kubectl --kubeconfig {lab.cluster.kubeconfig} -n acme"
    return [
        Claim(f"the cluster serves {patch}", f"{kubectl} get deployment {service} -o wide", image == patch, image),
        Claim(
            "the rollout is complete", f"{kubectl} rollout status deployment/{service}",
            "successfully rolled out" in ready, ready,
        ),
    ]  # fmt: skip


def _source(lab: World, service: str, good: str, faulty: str, patch: str) -> list[Claim]:
    with tempfile.TemporaryDirectory() as scratch:
        clone = Path(scratch) / "clone"
        bare = lab.host.bare(f"acme/{service}")
        _git("clone", "--quiet", "--no-local", str(bare), str(clone))

        def git(*arguments: str) -> str:
            return _git("-C", str(clone), *arguments)

        trees = git("rev-parse", f"{good}^{{tree}}", f"{patch}^{{tree}}").split()
        commits = git("log", "--format=%s", f"{faulty}..origin/main").splitlines()
        tagged = git("rev-parse", f"{patch}^{{commit}}", "origin/main").split()
        behind = git("log", "--oneline", "origin/develop..origin/main")
        parent = git("rev-parse", f"{patch}^1", f"{faulty}^{{commit}}").split()
    at = f"git -C {bare}"
    return [
        Claim(f"the tree of {patch} is that of {good}", f"{at} diff --stat {good} {patch}", len(set(trees)) == 1,
              " ".join(trees)),
        Claim(f"main has one commit after {faulty}", f"{at} log --oneline {faulty}..main", len(commits) == 1,
              "; ".join(commits)),
        Claim(f"{patch} is the head of main", f"{at} rev-parse {patch}^{{commit}} main", len(set(tagged)) == 1,
              " ".join(tagged)),
        Claim(f"{faulty} stands where it stood, below {patch}", f"{at} rev-parse {patch}^1 {faulty}^{{commit}}",
              len(set(parent)) == 1, " ".join(parent)),
        Claim("develop has all of main", f"{at} log --oneline develop..main", not behind.strip(), behind),
    ]  # fmt: skip


def _customers(lab: World, service: str, faulty: str) -> Claim:
    street = lab.customers[service]
    lines = [json.loads(line) for line in street.log.read_text().splitlines()]
    newest = [line for line in lines if line["route"] == "/checkout"][-20:]
    blamed = street.count().failed_by_version
    holds = len(newest) == 20 and all(line["ok"] for line in newest) and set(blamed) <= {faulty}
    seen = f"{sum(line['ok'] for line in newest)} of the last {len(newest)} checkouts succeeded, failures by {blamed}"
    return Claim("customers can check out again", f"tail -n 60 {street.log}", holds, seen)


def _metrics(lab: World, service: str, patch: str) -> Claim:
    query = f'sum(increase(http_requests_total{{service="{service}",version="{patch}",code=~"5.."}}[1m])) or vector(0)'
    answer = httpx.get(f"{lab.prometheus.url}/api/v1/query", params={"query": query}, timeout=10).json()
    value = float(answer["data"]["result"][0]["value"][1])
    command = f"curl -s {lab.prometheus.url}/api/v1/query --data-urlencode 'query={query}'"
    return Claim(f"Prometheus has seen no error of {patch}", command, value == 0, str(value))


def _told(lab: World, service: str, patch: str, good: str) -> Claim:
    wanted = f"{service} is restored to {patch} (= {good})"
    told = [message for message in lab.sink.messages() if wanted in json.dumps(message)]
    return Claim("the stakeholders were told, once", f"cat {lab.directory}/sink.jsonl", len(told) == 1, str(len(told)))


def _git(*arguments: str) -> str:
    env = {"PATH": os.environ["PATH"], "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    done = subprocess.run(["git", *arguments], env=env, capture_output=True, text=True, check=True)
    return done.stdout
