"""Our dumps against those of the real socat, byte for byte, over random traffic."""

from __future__ import annotations

import os
import random
import re
import socket
import subprocess
import threading
import time
from datetime import datetime
from pathlib import Path

import pytest

from ferryman.inspection.feed import DOWN, UP, Chunk, Closed, Direction
from ferryman.inspection.forms.socat import Socat
from tests.support.peers import require

pytestmark = pytest.mark.peer

_HEADER = re.compile(
    rb"([<>]) (\d{4}/\d\d/\d\d \d\d:\d\d:\d\d)\.000(\d{6})  length=(\d+) from=\d+ to=\d+\n"
)
CONNECTIONS = 6


@pytest.mark.parametrize("flags", ["-v", "-x", "-v -x"])
def test_a_dump_is_socats_to_the_byte(flags: str, tmp_path: Path) -> None:
    said, dump = _carried_by_socat(flags.split(), tmp_path)
    form = Socat(text="-v" in flags, hexed="-x" in flags)
    position, connection = 0, 0
    sent: dict[Direction, int] = {UP: 0, DOWN: 0}
    while position < len(dump):
        header = _HEADER.match(dump, position)
        assert header, f"not a header: {dump[position : position + 80]!r}"
        direction: Direction = UP if header[1] == b">" else DOWN
        length = int(header[4])
        start = sent[direction]
        data = said[connection][direction][start : start + length]
        sent[direction] += length
        when = datetime.strptime(header[2].decode(), "%Y/%m/%d %H:%M:%S").timestamp()
        at = int(when) * 1_000_000_000 + int(header[3]) * 1000
        ours = form.write(Chunk(connection, at, direction, data))
        assert ours == dump[position : position + len(ours)]
        position += len(ours)
        if all(sent[way] == len(said[connection][way]) for way in (UP, DOWN)):
            form.write(Closed(connection, at, sent[UP], sent[DOWN], ""))
            connection, sent = connection + 1, {UP: 0, DOWN: 0}
    assert connection == CONNECTIONS


def _carried_by_socat(flags: list[str], folder: Path) -> tuple[list[dict[Direction, bytes]], bytes]:
    """What both sides said on some connections, one after another, and socat's dump of it."""
    chance = random.Random(f"{flags}")
    path = str(folder / "in")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(folder / "out"))
        server.listen()
        command = [require("socat"), *flags, f"UNIX-LISTEN:{path},fork", f"UNIX:{folder}/out"]
        environment = {**os.environ, "LC_ALL": "C"}
        with subprocess.Popen(command, stderr=subprocess.PIPE, env=environment) as program:
            stream = program.stderr
            assert stream is not None
            dump: list[bytes] = []
            reader = threading.Thread(target=lambda: dump.append(stream.read()))
            reader.start()
            try:
                said = [_conversation(chance, path, server) for _ in range(CONNECTIONS)]
            finally:
                program.terminate()
                program.wait(10)
            reader.join(10)
    return said, dump[0]


def _conversation(
    chance: random.Random, path: str, server: socket.socket
) -> dict[Direction, bytes]:
    said: dict[Direction, bytes] = {UP: b"", DOWN: b""}
    with _connected(path) as client, server.accept()[0] as peer:
        for end in (client, peer):
            end.settimeout(20)
        for _ in range(chance.randrange(2, 8)):
            way: Direction = chance.choice((UP, DOWN))
            size = chance.choice((1, 7, 16, 17, 100, 8192, 20000))
            data = chance.choice((chance.randbytes(size), b"GET /\r\n\tx\\" * (size // 10 + 1)))
            talker, listener = (client, peer) if way == UP else (peer, client)
            sender = threading.Thread(target=talker.sendall, args=(data,))
            sender.start()
            left = len(data)
            while left:
                left -= len(listener.recv(left))
            sender.join(10)
            said[way] += data
        client.shutdown(socket.SHUT_WR)
        assert peer.recv(1) == b""
        peer.close()
        assert client.recv(1) == b""
    return said


def _connected(path: str) -> socket.socket:
    end = time.monotonic() + 20
    while True:
        client = socket.socket(socket.AF_UNIX)
        try:
            client.connect(path)
        except OSError:
            client.close()
            assert time.monotonic() < end, "socat does not listen"
        else:
            return client
