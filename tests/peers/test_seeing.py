"""``ferry relay`` between real programs: what they say to each other, as it is shown."""

from __future__ import annotations

import glob
import os
import pwd
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.peers import require

pytestmark = pytest.mark.peer

PATIENCE = 30


class Relayed:
    """A relay whose sights are read once it has ended."""

    def __init__(self, process: subprocess.Popen[str], port: str) -> None:
        self.process = process
        self.port = port

    def end(self) -> str:
        self.process.terminate()
        return self.process.communicate(timeout=PATIENCE)[0]


@contextmanager
def relay(target: str, *options: str) -> Iterator[Relayed]:
    words = [sys.executable, "-m", "ferryman.cli.main", "relay", "127.0.0.1:0", target, *options]
    with subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stderr is not None
            said = process.stderr.readline()
            assert said.startswith("Listening on 127.0.0.1:"), said + process.stderr.read()
            yield Relayed(process, said.split()[2].rpartition(":")[2])
        finally:
            process.kill()


@contextmanager
def server(words: list[str], place: Path | int, **options: object) -> Iterator[None]:
    """A real server, once its socket takes connections."""
    process = subprocess.Popen(
        words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **options
    )  # type: ignore[call-overload]
    try:
        while not _takes(place):
            assert process.poll() is None, f"{words[0]} has ended"
            os.sched_yield()
        yield
    finally:
        process.terminate()
        process.wait(PATIENCE)


def _takes(place: Path | int) -> bool:
    family = socket.AF_INET if isinstance(place, int) else socket.AF_UNIX
    address = ("127.0.0.1", place) if isinstance(place, int) else str(place)
    with socket.socket(family) as client:
        return client.connect_ex(address) == 0


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def run(*words: str, said: str = "") -> str:
    environment = {**os.environ, "PGPASSWORD": "hunter2", "PGSSLMODE": "disable"}
    done = subprocess.run(
        words, input=said, capture_output=True, text=True, timeout=PATIENCE, env=environment
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_redis_commands_and_answers_without_the_password(tmp_path: Path) -> None:
    client, path = require("redis-cli"), tmp_path / "redis.sock"
    words = [require("redis-server"), "--port", "0", "--unixsocket", str(path), "--save", ""]
    with server([*words, "--requirepass", "hunter2"], path):
        with relay(str(path), "-v") as one:
            commands = "AUTH hunter2\nSET greeting hello\nGET greeting\n"
            assert "hello" in run(client, "-p", one.port, said=commands)
            text = one.end()
    assert "→ SET greeting" in text
    assert "hello" in text
    assert "hunter2" not in text


def test_http2_with_prior_knowledge(tmp_path: Path) -> None:
    (tmp_path / "hello.txt").write_text("hello over h2\n")
    port = free_port()
    words = [require("nghttpd"), "--no-tls", "-d", str(tmp_path), str(port)]
    with server(words, port), relay(f"127.0.0.1:{port}", "--format", "json", "-v") as one:
        url = f"http://127.0.0.1:{one.port}/hello.txt"
        run(require("curl"), "-s", "--http2-prior-knowledge", "-H", "Cookie: hunter2", url)
        text = one.end()
    assert '"protocol":"h2"' in text
    assert '"path":"/hello.txt"' in text
    assert '"status":200' in text
    assert "hello over h2" in text
    assert "hunter2" not in text


@pytest.fixture(scope="module")
def postgresql() -> Iterator[Path]:
    """The folder of a server's socket."""
    require("psql")
    (binaries, *_) = sorted(glob.glob("/usr/lib/postgresql/*/bin")) or [""]
    assert binaries, "tools/install-peers installs PostgreSQL"
    folder = Path(tempfile.mkdtemp(prefix="ferry-pg-"))
    user = "postgres" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
    shutil.chown(folder, user)
    (folder / "word").write_text("hunter2\n")
    shutil.chown(folder / "word", user)
    data = str(folder / "data")
    words = [f"{binaries}/initdb", "-D", data, "-U", "ada", "-A", "scram-sha-256", "--no-sync"]
    options = {"user": user} if os.geteuid() == 0 else {}
    made = subprocess.run(
        [*words, f"--pwfile={folder / 'word'}"],
        cwd=folder,
        capture_output=True,
        text=True,
        **options,
    )  # type: ignore[call-overload]
    assert made.returncode == 0, made.stderr
    words = [f"{binaries}/postgres", "-D", data, "-k", str(folder), "-h", ""]
    try:
        with server(words, folder / ".s.PGSQL.5432", **options):
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def test_postgresql_queries_through_its_socket(postgresql: Path) -> None:
    with relay(str(postgresql / ".s.PGSQL.5432"), "-v") as one:
        query = "select 6 * 7 as answer; select pg_sleep(0)"
        database = f"host=127.0.0.1 port={one.port} user=ada dbname=postgres"
        assert "42" in run(require("psql"), "-X", "-c", query, database)
        text = one.end()
    assert "→ " in text
    assert "select 6 * 7" in text
    assert "SELECT 1" in text
    assert "hunter2" not in text


def test_a_summary_is_on_stderr_and_what_was_asked_for_on_stdout() -> None:
    port = free_port()
    words = [sys.executable, "-m", "http.server", "-b", "127.0.0.1", str(port)]
    curl = require("curl")
    with server(words, port):
        with relay(f"127.0.0.1:{port}", "--only", "path=/wanted status=404") as one:
            for path in ("wanted", "unwanted"):
                run(curl, "-s", f"http://127.0.0.1:{one.port}/{path}")
            text = one.end()
    assert "GET /wanted" in text
    assert "unwanted" not in text


def test_a_capture_of_a_unix_socket_is_read_by_tshark(postgresql: Path, tmp_path: Path) -> None:
    kept = tmp_path / "day.pcapng"
    with relay(str(postgresql / ".s.PGSQL.5432"), "--format", "json", "-w", str(kept)) as one:
        database = f"host=127.0.0.1 port={one.port} user=ada dbname=postgres"
        run(require("psql"), "-X", "-c", "select 'ferryman'", database)
        one.end()
    queries = run(
        require("tshark"), "-r", str(kept), "-Y", "pgsql.query", "-T", "fields", "-e", "pgsql.query"
    )
    assert "select 'ferryman'" in queries


GRPC = """
import concurrent.futures, sys, grpc

def same(data):
    return data

class Greeter(grpc.GenericRpcHandler):
    def service(self, call):
        if call.method.endswith("/Hello"):
            answer = lambda question, context: b"\\n\\x05hello"
            return grpc.unary_unary_rpc_method_handler(answer, same, same)

def serve():
    server = grpc.server(concurrent.futures.ThreadPoolExecutor(2), handlers=(Greeter(),))
    server.add_insecure_port("127.0.0.1:" + sys.argv[2])
    server.start()
    server.wait_for_termination()

def call():
    with grpc.insecure_channel("127.0.0.1:" + sys.argv[2]) as channel:
        secret = (("authorization", "Bearer hunter2"),)
        say = lambda name: channel.unary_unary(name, same, same)(b"\\n\\x03ada", metadata=secret)
        say("/demo.Greeter/Hello")
        try:
            say("/demo.Greeter/Bye")
        except grpc.RpcError as error:
            print(error.code())

{"serve": serve, "call": call}[sys.argv[1]]()
"""


def test_grpc_calls_have_names_and_a_status() -> None:
    port = free_port()
    program = [sys.executable, "-c", GRPC]
    with server([*program, "serve", str(port)], port), relay(f"127.0.0.1:{port}", "-v") as one:
        assert "UNIMPLEMENTED" in run(*program, "call", one.port)
        text = one.end()
    assert "→ demo.Greeter/Hello" in text
    assert "1: 'ada'" in text
    assert "1: 'hello'" in text
    assert "grpc=OK" in text
    assert "UNIMPLEMENTED" in text
    assert "hunter2" not in text


CHAT = """
import asyncio, sys
from websockets.asyncio.client import connect
from websockets.asyncio.server import serve

async def echo(chat):
    async for message in chat:
        await chat.send(message)

async def wait():
    async with serve(echo, "127.0.0.1", int(sys.argv[2])) as server:
        await server.serve_forever()

async def talk():
    secret = {"Authorization": "Bearer hunter2"}
    url = "ws://127.0.0.1:" + sys.argv[2] + "/chat"
    async with connect(url, additional_headers=secret) as chat:
        for message in ("good day", b"\\x00\\x01"):
            await chat.send(message)
            print(await chat.recv())

asyncio.run({"wait": wait, "talk": talk}[sys.argv[1]]())
"""


def test_websocket_messages_are_unmasked_and_expanded() -> None:
    port = free_port()
    program = [sys.executable, "-c", CHAT]
    with server([*program, "wait", str(port)], port), relay(f"127.0.0.1:{port}", "-v") as one:
        assert "good day" in run(*program, "talk", one.port)
        text = one.end()
    assert "GET /chat" in text
    assert "→ text good day" in text
    assert "← text good day" in text
    assert "→ binary 0001" in text
    assert "close 1000" in text
    assert "hunter2" not in text
