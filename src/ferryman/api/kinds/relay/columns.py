"""The columns in which a Relay is shown."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from ferryman.api.resource import Object
from ferryman.api.scheme import Column
from ferryman.api.tables import age, condition_cell


def _target_text(relay: Object) -> str:
    target = relay.get("spec", {}).get("target", {})
    if (workload := target.get("workload")) and workload.get("selector"):
        return f"pods with {workload['selector']}"
    if workload:
        return f"{workload.get('kind', '')}/{workload.get('name', '')}"
    if discovery := target.get("discovery"):
        return f"discovery/{discovery.get('name', '')}"
    return str(target.get("address", ""))


def _listen_text(relay: Object, _: datetime) -> str:
    status = {p.get("name"): p for p in relay.get("status", {}).get("ports", ())}
    texts = []
    for port in relay.get("spec", {}).get("ports", ()):
        bound = status.get(port.get("name"), {}).get("addresses") or ()
        listen = port.get("listen", {})
        wanted = listen.get("address") or str(listen.get("port", 0))
        texts.append(str(bound[0]) if bound else wanted)
    return ",".join(texts)


def _pod_text(relay: Object, _: datetime) -> str:
    endpoints = relay.get("status", {}).get("endpoints", ())
    pods = dict.fromkeys(e.get("pod", "") for e in endpoints if e.get("state") == "Active")
    return ",".join(p for p in pods if p)


def _count(name: str) -> Any:
    def cell(relay: Object, _: datetime) -> int:
        return int(relay.get("status", {}).get("connections", {}).get(name, 0))

    return cell


COLUMNS = (
    Column("Name", lambda relay, _: str(relay["metadata"]["name"])),
    Column("Ready", condition_cell("Ready"), description="Whether connections get through."),
    Column("Listen", _listen_text, description="Where it listens."),
    Column("Target", lambda relay, _: _target_text(relay), description="Where it leads to."),
    Column("Pod", _pod_text, description="The pods that take connections now."),
    Column("Connections", _count("open"), kind="integer", description="Open connections."),
    Column("Age", age),
    Column("Held", _count("held"), wide=True, kind="integer"),
    Column("Total", _count("total"), wide=True, kind="integer"),
    Column("Failed", _count("failed"), wide=True, kind="integer"),
    Column("Reason", condition_cell("Ready", "reason"), wide=True),
)
