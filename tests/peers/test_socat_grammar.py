"""Asks the real socat what it makes of an address, and compares: tokens, and what is refused.

OPEN of a path that cannot be tells, in its error, how socat read it. Nothing here listens: every
address is refused by the parser or fails at once.
"""

from __future__ import annotations

import random
import re
import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest

from ferryman.addresses.keywords import CANONICAL
from ferryman.addresses.socat import parse
from ferryman.addresses.specs import File
from ferryman.errors import UserError
from tests.support import peers

_OPENED = re.compile(rb'open\("/\xc2\xb7/(.*)", [0-9]+, [0-9]+\)', re.DOTALL)
_ALPHABET = ["a", "b", " ", "'", '"', "(", ")", "[", "]", "{", "}", "\\", ",append", "!", ":", "="]
_REFUSALS = (
    b"unknown option",
    b"unknown device/address",
    b"not supported with this address type",
    b"wrong number of parameters",
    b"parameter required",
    b"parameters required",
    b"parseopts()",
    b"unexpected end of address",
    b"value required",
    b"no value permitted",
    b"not allowed without option",
    b"empty port/service",
    b"error in FD number",
)


def ask(address: str) -> bytes:
    """What socat says, in at most a second; nothing if it would go on.

    Its stdin is a pipe: ``-,mode=600`` is done to what is there, and /dev/null is everybody's.
    """
    socat = peers.require("socat")
    command = [socat, "-u", address, "OPEN:/dev/null,wronly"]
    try:
        # A pipe of its own: as root, STDIO,mode=600 would close /dev/null to everybody.
        done = subprocess.run(command, input=b"", capture_output=True, timeout=1, check=False)
    except subprocess.TimeoutExpired:
        return b""
    return done.stderr


def refuses(said: bytes) -> bool:
    return any(words in said for words in _REFUSALS)


def ours(address: str) -> str | None:
    """The path as we read it, None if we refuse the address."""
    try:
        spec = parse(address)
    except UserError:
        return None
    assert isinstance(spec, File)
    return spec.path.removeprefix("/\xb7/")


def refusal(address: str) -> str:
    """Why we refuse the address; empty if we do not."""
    try:
        parse(address)
    except UserError as error:
        return error.message
    return ""


def test_random_paths_are_read_as_socat_reads_them() -> None:
    """Less those with something that is not closed: there socat reads on behind the address."""
    chance = random.Random(8)
    texts = ["".join(chance.choices(_ALPHABET, k=chance.randint(1, 9))) for _ in range(500)]
    addresses = [f"OPEN:/\xb7/{text}" for text in texts if "!!" not in text]
    addresses = [a for a in addresses if "unexpected end" not in refusal(a)]
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(ask, addresses))
    compared = 0
    for address, said in zip(addresses, answers, strict=True):
        found = _OPENED.search(said)
        theirs = found[1].decode() if found is not None else None
        assert ours(address) == theirs, (address, said)
        compared += found is not None
    assert compared > 80


OPTIONS = [
    "fork", "reuseaddr", "retry=1", "interval=0.01", "bind=9.9.9.9", "backlog=3", "max-children=2",
    "mode=600", "mode=9", "umask=077", "unlink-early", "nodelay", "so-keepalive", "keepidle=3",
    "connect-timeout=0.1", "range=127.0.0.0/8", "pty", "stderr", "setsid", "raw", "echo=0", "raw=1",
    "rdonly", "append", "creat", "cert=/n", "verify=0", "snihost=x", "sp=99999999", "nonsense",
    "pf=ip4", "ipv6only", "retry=x", "interval=x", "fork=x", "FORK", "user", "path", "pipes=1",
]  # fmt: skip
KINDS = [
    "TCP:127.0.0.1:1", "TCP4:127.0.0.1:1", "TCP-L:1,bind=9.9.9.9", "UNIX:/n/n", "UNIX-L:/n/n",
    "ABSTRACT:n", "SSL:127.0.0.1:1", "SSL-L:1,cert=/n/n", "UDP-L:1,bind=9.9.9.9", "EXEC:true",
    "SYSTEM:true", "STDIN", "OPEN:/n/n", "/n/n", "CREATE:/n/n",
]  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_what_we_accept_socat_accepts_and_what_it_refuses_we_refuse(kind: str) -> None:
    """An option that socat takes and we do not must be refused by its name."""
    addresses = [f"{kind},{option}" for option in OPTIONS]
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(ask, addresses))
    for option, address, said in zip(OPTIONS, addresses, answers, strict=True):
        mine = refusal(address)
        if not mine:
            assert not refuses(said), (address, said)
        elif not refuses(said):
            assert option.partition("=")[0].lower() in mine.lower(), (address, said)


@pytest.mark.parametrize("keyword", sorted(CANONICAL))
def test_socat_knows_every_keyword_that_we_know(keyword: str) -> None:
    said = ask(f"{keyword}:a:b:c:d")
    assert b"unknown device/address" not in said
    assert refuses(said) or keyword == "SYSTEM"
