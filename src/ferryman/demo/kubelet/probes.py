"""Asks containers whether they are ready or alive: HTTP and TCP probes, as core/v1 Probe.

The first answers are asked for quickly, because a demo that is ready after a period of ten seconds
teaches patience; from the first success on, the probe keeps to its period. Exec and gRPC probes
pass: the demo's programs have nothing that could be executed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from ferryman.api.resource import Object
from ferryman.demo.kubelet.sandbox import Sandbox
from ferryman.runtime.clock import Clock

_FIRST = 0.02
_STATUS_LINE = 4096


async def watch_probe(
    clock: Clock,
    probe: Object,
    container: Object,
    sandbox: Sandbox,
    report: Callable[[bool, str], None],
) -> None:
    """Probe for ever; ``report`` is told every verdict that the thresholds allow, and why."""
    await clock.sleep(probe.get("initialDelaySeconds") or 0)
    period = max(1, probe.get("periodSeconds") or 10)
    interval, run, last, passed_once = _FIRST, 0, None, False
    while True:
        passed, why = await attempt(probe, container, sandbox)
        run = run + 1 if passed == last else 1
        last = passed
        passed_once = passed_once or passed
        threshold = probe.get("successThreshold") or 1 if passed else probe.get("failureThreshold")
        if run >= (threshold or 3):
            report(passed, why)
        interval = period if passed_once else min(interval * 2, period)
        await clock.sleep(interval)


async def attempt(probe: Object, container: Object, sandbox: Sandbox) -> tuple[bool, str]:
    """One probe: whether it passed, and in words why not."""
    try:
        async with asyncio.timeout(probe.get("timeoutSeconds") or 1):
            if "httpGet" in probe:
                return await _http(probe["httpGet"], container, sandbox)
            if "tcpSocket" in probe:
                _, writer = await _connect(probe["tcpSocket"].get("port"), container, sandbox)
                writer.close()
    except TimeoutError:
        return False, "context deadline exceeded"
    except (OSError, ValueError) as error:
        return False, f"dial tcp {sandbox.ip}: {error}"
    return True, ""


def port_number(port: object, container: Object) -> int:
    """A port as a number; ValueError if the container has none of that name."""
    if isinstance(port, int):
        return port
    for candidate in container.get("ports") or ():
        if candidate.get("name") == port:
            return int(candidate["containerPort"])
    raise ValueError(f"the container has no port named {port!r}")


async def _http(action: Object, container: Object, sandbox: Sandbox) -> tuple[bool, str]:
    reader, writer = await _connect(action.get("port"), container, sandbox)
    try:
        path = action.get("path") or "/"
        writer.write(
            f"GET {path} HTTP/1.1\r\nHost: {sandbox.ip}\r\nUser-Agent: kube-probe/1.37\r\n"
            "Connection: close\r\n\r\n".encode()
        )
        line = (await reader.readuntil(b"\r\n"))[:_STATUS_LINE].split(b" ")
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        return False, f"Get http://{sandbox.ip}{path}: EOF"
    finally:
        writer.close()
    status = int(line[1]) if len(line) > 1 and line[1].isdigit() else 0
    return 200 <= status < 400, f"HTTP probe failed with statuscode: {status}"


async def _connect(
    port: object, container: Object, sandbox: Sandbox
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    host, number = sandbox.address(port_number(port, container))
    return await asyncio.open_connection(host, number)
