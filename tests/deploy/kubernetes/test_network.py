"""Who may reach whom, and under which job Prometheus scrapes a pod."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.deploy.files import KUBERNETES_CONFIG, load
from tests.deploy.kubernetes.objects import Objects, Pod, of_kind, selected


def allowed(objects: Objects, source: Pod, target: Pod, port: str) -> tuple[bool, bool]:
    """Whether policies let `source` out to `target`, and `target` in from `source`."""

    def open_in(direction: str, end: str, of: Pod, other: Pod) -> bool:
        for policy in of_kind(objects, "NetworkPolicy"):
            if not selected(policy["spec"]["podSelector"], [of]):
                continue
            for rule in policy["spec"].get(direction, ()):
                ports = [one["port"] for one in rule.get("ports", ())]
                peers = rule.get(end, ())
                if port in ports and any(
                    "podSelector" in peer and selected(peer["podSelector"], [other])
                    for peer in peers
                ):
                    return True
        return False

    return open_in("egress", "to", source, target), open_in("ingress", "from", target, source)


@pytest.mark.parametrize(
    ("variant", "source", "target", "port", "wanted"),
    [
        ("serve", "backup", "serve", "http", True),
        ("streaming", "searcher", "embedder", "http", True),
        ("streaming", "backup", "searcher", "http", True),
        ("streaming", "producer", "searcher", "http", False),
        ("streaming", "embedder", "searcher", "http", False),
        ("qdrant", "searcher", "qdrant", "http", True),
        ("qdrant", "answer", "qdrant", "http", True),
        ("qdrant", "qdrant", "qdrant", "peers", True),
        ("qdrant", "embedder", "qdrant", "http", False),
        ("qdrant", "answer", "qdrant", "peers", False),
    ],
)
def test_who_may_talk_to_whom(
    pods: list[Pod],
    variants: dict[str, Objects],
    variant: str,
    source: str,
    target: str,
    port: str,
    wanted: bool,
) -> None:
    here = {pod.workload["metadata"]["name"]: pod for pod in pods if pod.variant == variant}
    found = allowed(variants[variant], here[source], here[target], port)
    assert all(found) if wanted else not any(found), found
    # Everything that no policy allows is refused.
    (deny,) = [
        one
        for one in of_kind(variants[variant], "NetworkPolicy")
        if one["spec"]["podSelector"] == {} and "egress" not in one["spec"]
    ]
    assert deny["spec"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}


def test_what_sends_webhooks_or_fetches_videos_reaches_public_addresses_alone(
    pods: list[Pod], variants: dict[str, Objects]
) -> None:
    out = {
        (pod.variant, pod.workload["metadata"]["name"])
        for pod in pods
        for policy in of_kind(variants[pod.variant], "NetworkPolicy")
        for rule in policy["spec"].get("egress", ())
        for peer in rule.get("to", ())
        if "ipBlock" in peer and selected(policy["spec"]["podSelector"], [pod])
        if {one["port"] for one in rule["ports"]} == {80, 443}
        if {"10.0.0.0/8", "169.254.0.0/16"} <= set(peer["ipBlock"]["except"])
    }
    senders = ("serve", "search", "embed", "ingest")
    assert out == {
        (pod.variant, pod.workload["metadata"]["name"])
        for pod in pods
        if pod.is_ours and pod.container["args"][0] in senders
    }


def relabelled(job: dict[str, Any], labels: dict[str, str]) -> dict[str, str] | None:
    """The labels of a target after the job's rules, as Prometheus applies them; None if it is dropped."""
    found = {"job": job["job_name"], **labels}
    for rule in job["relabel_configs"]:
        value = ";".join(found.get(name, "") for name in rule["source_labels"])
        match = re.fullmatch(rule.get("regex", "(.*)"), value)
        action = rule.get("action", "replace")
        if (action == "keep" and not match) or (action == "drop" and match):
            return None
        if action == "replace" and match:
            found[rule["target_label"]] = rule.get("replacement", value)
    return found


def test_prometheus_in_kubernetes_gives_every_pod_the_job_that_alerts_name(pods: list[Pod]) -> None:
    jobs = load(KUBERNETES_CONFIG)["scrape_configs"]
    meta = "__meta_kubernetes_pod_"
    scraped: dict[str, set[str]] = {}
    for pod in pods:
        labels = {
            re.sub(r"\W", "_", f"{meta}label_{name}"): value for name, value in pod.labels.items()
        }
        for port in pod.container.get("ports", ()):
            target = labels | {
                f"{meta}container_port_name": port["name"],
                f"{meta}phase": "Running",
            }
            for job in jobs:
                if (found := relabelled(job, target)) is not None:
                    name = str(pod.workload["metadata"]["name"])
                    scraped.setdefault(name, set()).add(found["job"])
                assert relabelled(job, target | {f"{meta}phase": "Failed"}) is None or (
                    job["job_name"] == "qdrant"
                )
    same = ("serve", "searcher", "embedder", "producer", "qdrant")
    assert scraped == {name: {name} for name in same} | {"answer": {"searcher"}}
