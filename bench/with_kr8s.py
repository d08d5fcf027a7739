"""A port-forward with the library kr8s: ``python with_kr8s.py KUBECONFIG SERVICE PORT``.

Forwards a free port on 127.0.0.1 to the pod of a service, prints kubectl's line once it listens,
and serves until SIGTERM. ``forward`` measures it.
"""

from __future__ import annotations

import asyncio
import socket
import sys

import kr8s.asyncio
from kr8s.asyncio.objects import Service


async def main(kubeconfig: str, service: str, port: int) -> None:
    api = await kr8s.asyncio.api(kubeconfig=kubeconfig)
    found = await Service.get(service, api=api)
    # Not local_port="auto": that tries one port at random, and fails when it is in use.
    with socket.create_server(("127.0.0.1", 0)) as listener:
        free: int = listener.getsockname()[1]
    async with found.portforward(port, local_port=free) as local:
        print(f"Forwarding from 127.0.0.1:{local} -> {port}", flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
