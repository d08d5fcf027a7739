"""XOR with a WebSocket's masking key, at the speed of C where that is to be had.

Masking took half of an upload's time (py-spy). The routine of the ``websockets`` library masks 46
times as fast as the best of pure Python, wsproto's four strided slices through ``translate``,
which remain for platforms without its compiled part. ``websocket`` frames what is masked here.
"""

from __future__ import annotations

import functools
import importlib.machinery
import importlib.util
import os
from collections.abc import Callable
from typing import cast

Masker = Callable[[memoryview, bytes], bytes]


def mask(buffer: bytearray, key: bytes, start: int = 0) -> None:
    """XOR everything from ``start`` with the four bytes of ``key``, in place; undoes itself."""
    if _compiled is not None:
        with memoryview(buffer) as whole, whole[start:] as payload:
            payload[:] = _compiled(payload, key)
    else:
        mask_slowly(buffer, key, start)


def mask_slowly(buffer: bytearray, key: bytes, start: int = 0) -> None:
    """As ``mask``, in pure Python."""
    for offset in range(min(4, len(buffer) - start)):
        lane = slice(start + offset, None, 4)
        buffer[lane] = buffer[lane].translate(_table(key[offset]))


@functools.cache
def _table(key: int) -> bytes:
    return bytes(value ^ key for value in range(256))


def _load() -> Masker | None:
    """The compiled routine alone: importing its package takes longer than opening a wire."""
    package = importlib.util.find_spec("websockets")
    if package is None or package.origin is None:
        return None
    folder = os.path.dirname(package.origin)
    spec = importlib.machinery.PathFinder.find_spec("speedups", [folder])
    if spec is None or spec.loader is None or not str(spec.origin).endswith((".so", ".dylib")):
        return None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return cast(Masker, module.apply_mask)


_compiled = _load()
