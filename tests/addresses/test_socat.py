from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ferryman.addresses.keywords import CANONICAL, OTHERS
from ferryman.addresses.socat import parse
from ferryman.addresses.specs import (
    ConnectOptions,
    Create,
    Descriptors,
    Dual,
    File,
    ListenOptions,
    NameOptions,
    OpenOptions,
    Pipe,
    PlaceOptions,
    Program,
    ProgramOptions,
    RangeOptions,
    RetryOptions,
    SocketOptions,
    Spec,
    TcpConnect,
    TcpListen,
    TcpOptions,
    TerminalOptions,
    TlsConnect,
    TlsListen,
    TlsOptions,
    UdpConnect,
    UdpListen,
    UnixConnect,
    UnixListen,
)
from ferryman.errors import UserError

FORKING = ListenOptions(fork=True)
REUSE = SocketOptions(reuseaddr=True)

MEANT: list[tuple[str, Spec]] = [
    ("TCP-LISTEN:8080,reuseaddr,fork", TcpListen(8080, sock=REUSE, listen=FORKING)),
    ("tcp-l:8080,ReuseAddr,FORK", TcpListen(8080, sock=REUSE, listen=FORKING)),
    ("TCP:localhost:8081", TcpConnect("localhost", 8081)),
    ("INET4:h:http", TcpConnect("h", "http", "4")),
    ("TCP6-CONNECT:[::1]:80", TcpConnect("::1", 80, "6")),
    (
        "TCP:h:1,retry=2,interval=0.2,connect-timeout=1,bind=127.0.0.1:7,nodelay,keepalive=0",
        TcpConnect(
            "h",
            1,
            sock=SocketOptions(keepalive=False),
            tcp=TcpOptions(nodelay=True),
            place=PlaceOptions(bind="127.0.0.1:7"),
            retry=RetryOptions(retry=2, interval=0.2),
            connect=ConnectOptions(timeout=1),
        ),
    ),
    ("TCP:h:1,retry=1,retry=0x10,", TcpConnect("h", 1, retry=RetryOptions(retry=16))),
    (
        "TCP4-LISTEN:80,bind=127.0.0.1,backlog=010,max-children=3,fork=1,range=127.0.0.0/8",
        TcpListen(
            80,
            "4",
            place=PlaceOptions(bind="127.0.0.1"),
            listen=ListenOptions(fork=True, max_children=3, backlog=8),
            range=RangeOptions("127.0.0.0/8"),
        ),
    ),
    ("UNIX:/run/docker.sock", UnixConnect("/run/docker.sock")),
    (
        "UNIX-L:/x,mode=0600,user=root,gid=0,umask=077,unlink-early,unlink-close=0,fork",
        UnixListen(
            "/x",
            listen=FORKING,
            name=NameOptions(
                mode=0o600,
                user="root",
                group="0",
                umask=0o77,
                unlink_early=True,
                unlink_close=False,
            ),
        ),
    ),
    ("UNIX:@x", UnixConnect("./@x")),
    ("ABSTRACT:x", UnixConnect("@x")),
    ("ABSTRACT-LISTEN:x", UnixListen("@x")),
    (
        "SSL:h:443,cafile=ca.pem,cert=c.pem,verify,snihost=other",
        TlsConnect("h", 443, tls=TlsOptions(cafile="ca.pem", cert="c.pem", snihost="other")),
    ),
    (
        "OPENSSL-LISTEN:443,cert=c.pem,key=k.pem,verify=0,fork",
        TlsListen(443, listen=FORKING, tls=TlsOptions(cert="c.pem", key="k.pem", verify=False)),
    ),
    ("UDP-LISTEN:53,fork", UdpListen(53, listen=FORKING)),
    ("UDP4:h:53", UdpConnect("h", 53, "4")),
    ("EXEC:cat -n", Program(("cat", "-n"))),
    (
        "EXEC:'bash -i',pty,stderr,setsid,ctty,raw,echo=0",
        Program(
            ("bash", "-i"),
            program=ProgramOptions(pty=True, stderr=True, setsid=True, ctty=True),
            terminal=TerminalOptions(raw=True, echo=False),
        ),
    ),
    ('SYSTEM:"echo a, b:c"', Program(("/bin/sh", "-c", "echo a, b:c"), shell=True)),
    ("-", Descriptors(0, 1)),
    ("-,raw,echo=0", Descriptors(0, 1, TerminalOptions(raw=True, echo=False))),
    ("3", Descriptors(3, 3)),
    ("FD:33", Descriptors(33, 33)),
    ("STDOUT", Descriptors(None, 1)),
    ("OPEN:/tmp/x,rdonly", File("/tmp/x", open=OpenOptions(rdonly=True))),
    ("/tmp/x,append,creat", File("/tmp/x", True, OpenOptions(append=True, creat=True))),
    ("CREATE:x,mode=644", Create("x", name=NameOptions(mode=0o644))),
    ("PIPE", Pipe()),
    ("ECHO", Pipe()),
    ("fifo:/tmp/f", Pipe("/tmp/f")),
    ("STDIN!!OPEN:x,wronly", Dual(Descriptors(0, None), File("x", open=OpenOptions(wronly=True)))),
    ('O"PE"N:x', File("x")),
    ("'OPEN':x,rd\"on\"ly", File("x", open=OpenOptions(rdonly=True))),
]  # fmt: skip


@pytest.mark.parametrize(("text", "spec"), MEANT, ids=[m[0] for m in MEANT])
def test_what_an_address_means(text: str, spec: Spec) -> None:
    assert parse(text) == spec


REFUSED = [
    ("8080", 'unknown device/address "8080"', "TCP-LISTEN:8080"),
    ("55", 'unknown device/address "55"', "TCP-LISTEN:55"),
    ("TPC:h:1", 'unknown device/address "TPC"', "did you mean TCP?"),
    (" TCP:h:1", 'unknown device/address " TCP"', "space"),
    ("", 'unknown device/address ""', ""),
    ("PROXY:p:h:80", "PROXY is not supported by ferry", "socat"),
    ("UDP-RECVFROM:53,fork", "UDP-RECVFROM is not supported by ferry", "UDP-LISTEN"),
    ("TCP", "TCP: wrong number of parameters (0 instead of 2)", "TCP:HOST:PORT"),
    ("TCP:h", "TCP: wrong number of parameters (1 instead of 2)", "TCP:HOST:PORT"),
    ("TCP:::1:80", "TCP: wrong number of parameters (4 instead of 2)", "brackets"),
    ("TCP:h:", "TCP: empty port/service", ""),
    ("TCP:h:99999", "TCP: not a port: '99999'", "65535"),
    ("STDIO:x", "STDIO: wrong number of parameters (1 instead of 0)", ""),
    ("SYSTEM:echo a:b", "SYSTEM: wrong number of parameters", "\\:"),
    ("EXEC:", "EXEC: no command", ""),
    ("FD:x", 'error in FD number "x"', ""),
    ("TCP-LISTEN:1, fork", 'unknown option " fork"', "leave the space out"),
    ("TCP-LISTEN:1,frok", 'unknown option "frok" of TCP-LISTEN', "did you mean fork?"),
    ("TCP-LISTEN:1,tcpwrap", 'option "tcpwrap" is not supported by ferry', "range="),
    ("UNIX:/x,fork", 'option "fork" not supported with UNIX', "retry"),
    ("UNIX-LISTEN:/x,nodelay", 'option "nodelay" not supported with UNIX-LISTEN', "mode"),
    ("TCP:h:1,retry=x", 'option "retry=x" of TCP: a number is expected', ""),
    ("TCP:h:1,retry=2x", 'option "retry=2x" of TCP: a number is expected', ""),
    ("TCP:h:1,interval=0.1.2", 'option "interval=0.1.2" of TCP: seconds are expected', ""),
    ("TCP:h:1,bind", 'option "bind" of TCP: value required', ""),
    ("OPEN:x,mode=9", 'option "mode=9" of OPEN: an octal number is expected', ""),
    ("EXEC:cat,pty,raw=1", 'option "raw=1" of EXEC: no value permitted', ""),
    ("TCP:h:1,pf=nope", 'option "pf=nope" of TCP: the families are', ""),
    ("TCP-LISTEN:1,max-children=2", "option max-children not allowed without option fork", ""),
    ("EXEC:cat,raw", "raw needs a terminal", "add pty"),
    ("EXEC:cat,pty,pipes", "exclude each other", ""),
    ("TCP4-LISTEN:1,ipv6only", 'option "ipv6only" not supported with TCP4-LISTEN', "IPv6"),
    ("OPEN:x,rdonly,wronly", "exclude each other", ""),
    ("OPEN:x!!", 'unknown device/address ""', ""),
    ("-!!-!!-", "more than two addresses", "A!!B"),
    ("UNIX:/" + "x" * 107, "not a UNIX socket path", "107"),
    ("OPEN:x,=1", 'unknown option ""', ""),
]


@pytest.mark.parametrize(("text", "message", "hint"), REFUSED, ids=[r[0] for r in REFUSED])
def test_what_is_refused_and_in_which_words(text: str, message: str, hint: str) -> None:
    with pytest.raises(UserError) as refused:
        parse(text)
    assert message in refused.value.message
    assert hint in refused.value.hint


def test_every_kind_says_how_it_is_written() -> None:
    for keyword in CANONICAL:
        with pytest.raises(UserError) as refused:
            parse(f"{keyword}:a:b:c:d")
        assert refused.value.hint.startswith("write "), keyword
    assert not CANONICAL.keys() & OTHERS.keys()


@pytest.mark.parametrize(("text", "spec"), MEANT, ids=[m[0] for m in MEANT])
def test_a_kind_prints_as_it_could_be_written(text: str, spec: Spec) -> None:
    if isinstance(spec, Program) or "@" in str(spec):
        return  # words are shown without their quotes, and @ says abstract in short
    printed = parse(str(spec))
    assert type(printed) is type(spec)
    assert str(printed) == str(spec)


WORDS = st.sampled_from(
    [*CANONICAL, "fork", "reuseaddr", "mode=600", "retry=3", "pty", "echo=0", "verify=0", "bind="]
)
ADDRESSES = st.lists(
    WORDS | st.sampled_from(list(":,=!'\"()[]{}\\/ 0@")) | st.text(string.printable, max_size=4),
    max_size=9,
).map("".join)


@given(ADDRESSES)
def test_no_text_breaks_it(text: str) -> None:
    try:
        parse(text)
    except UserError:
        pass
