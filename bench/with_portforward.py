"""A port-forward with PyPI's library portforward: ``python with_portforward.py KUBECONFIG SERVICE
PORT``.

Forwards a free port on 127.0.0.1 to the pod of a service, prints kubectl's line once it listens,
and serves until SIGTERM. ``forward`` measures it.
"""

from __future__ import annotations

import sys
import threading

import portforward


def main(kubeconfig: str, service: str, port: int) -> None:
    with portforward.forward("default", service, 0, port, config_path=kubeconfig) as forward:
        print(f"Forwarding from 127.0.0.1:{forward.from_port} -> {port}", flush=True)
        threading.Event().wait()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
