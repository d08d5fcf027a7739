"""socat's address grammar, verbatim: ``TCP-LISTEN:8080,reuseaddr,fork``, ``A!!B``; pure.

``KEYWORD[:parameter]*[,option[=value]]*``: ``tokens`` cuts, ``keywords`` and ``options`` know the
names, ``specs`` is what comes out. Source: socat(1), and what socat 1.7.4.4 does; where it reads
past an error (a quote that is not closed, a superfluous parameter of SYSTEM) we refuse.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ferryman.addresses import options, specs
from ferryman.addresses.keywords import CANONICAL, OTHERS, near
from ferryman.addresses.specs import Dual, Family, Single, Spec
from ferryman.addresses.tokens import DUAL, Reader, words
from ferryman.errors import UserError

_LONGEST_PATH = 107  # sun_path, less its terminating zero


def parse(text: str) -> Spec:
    """What an address in socat's grammar means; raises UserError."""
    reader = Reader(text)
    first = _single(reader)
    if not reader.take(DUAL):
        return first
    second = _single(reader)
    if reader.left:
        raise UserError(f"more than two addresses in {text!r}", "write A!!B")
    return Dual(first, second)


def is_keyword(word: str) -> bool:
    """Whether socat knows a kind of address by this name."""
    return word.upper() in CANONICAL or word.upper() in OTHERS


def _single(reader: Reader) -> Single:
    word = reader.token(":", ",", DUAL)
    if "/" in word:
        keyword, given = "GOPEN", [word]
    elif len(word) == 1 and word.isascii() and word.isdigit():
        keyword, given = "FD", [word]
    else:
        keyword, given = word, []
    while reader.take(":"):
        given.append(reader.token(":", ",", DUAL))
    found: list[options.Word] = []
    while reader.take(","):
        name = reader.token(",", "=", DUAL)
        value = reader.token(",", DUAL) if reader.take("=") else None
        if name or value is not None:  # socat takes ",," and a comma at the end
            found.append((name, value))
    return _made(keyword, given, found)


def _made(word: str, given: Sequence[str], found: Sequence[options.Word]) -> Single:
    keyword = CANONICAL.get(word.upper())
    if keyword is None:
        raise _unknown(word)
    least, most, make = _KINDS[keyword]
    if not least <= len(given) <= most:
        wanted = least if least == most else f"{least} or {most}"
        hint = f"{_USAGE[keyword]}; a colon that belongs to it is written \\:"
        raise UserError(
            f"{word}: wrong number of parameters ({len(given)} instead of {wanted})", hint
        )
    spec = make(word, given, found)
    options.check(spec, word)
    return spec


def _unknown(word: str) -> UserError:
    if word.upper() in OTHERS:
        return UserError(f"{word.upper()} is not supported by ferry", OTHERS[word.upper()])
    close = near(word)
    hint = f"did you mean {close}?" if close else ""
    if word != word.strip():
        hint = "leave the space out"
    elif word.isdecimal():
        hint = f"write TCP-LISTEN:{word} or TCP:localhost:{word}"
    return UserError(f'unknown device/address "{word}"', hint)


_Make = Callable[[str, Sequence[str], Sequence[options.Word]], Single]


def _connecting(kind: type[Any], family: Family | None = None) -> _Make:
    def make(word: str, given: Sequence[str], found: Sequence[options.Word]) -> Single:
        groups = options.filled(word, kind, found)
        if family is not None:
            groups["family"] = family
        host = given[0]
        if not host:
            raise UserError(f"{word}: empty host", "write HOST:PORT")
        if host.startswith("[") and host.endswith("]"):
            host = host[1:-1]
        spec: Single = kind(host=host, port=_port(word, given[1]), **groups)
        return spec

    return make


def _listening(kind: type[Any], family: Family | None = None) -> _Make:
    def make(word: str, given: Sequence[str], found: Sequence[options.Word]) -> Single:
        groups = options.filled(word, kind, found)
        if family is not None:
            groups["family"] = family
        spec: Single = kind(port=_port(word, given[0]), **groups)
        return spec

    return make


def _unix(kind: type[Any], *, abstract: bool = False) -> _Make:
    def make(word: str, given: Sequence[str], found: Sequence[options.Word]) -> Single:
        path = f"@{given[0]}" if abstract else given[0]
        size = len(path.encode(errors="surrogateescape"))
        if not given[0] or size > _LONGEST_PATH:
            raise UserError(f"{word}: not a UNIX socket path: {path!r}", "1 to 107 bytes")
        if not abstract and path.startswith("@"):
            path = f"./{path}"  # socat takes it for a file's name
        spec: Single = kind(path=path, **options.filled(word, kind, found))
        return spec

    return make


def _program(*, by_shell: bool) -> _Make:
    def make(word: str, given: Sequence[str], found: Sequence[options.Word]) -> Single:
        command = ("/bin/sh", "-c", given[0]) if by_shell else words(given[0])
        if not command or not command[0] or not given[0]:
            raise UserError(f"{word}: no command", f"such as {word}:cat")
        groups = options.filled(word, specs.Program, found)
        return specs.Program(command, shell=by_shell, **groups)

    return make


def _stdio(read: int | None, write: int | None) -> _Make:
    def make(word: str, given: Sequence[str], found: Sequence[options.Word]) -> Single:
        del given
        return specs.Descriptors(read, write, **options.filled(word, specs.Descriptors, found))

    return make


def _descriptor(word: str, given: Sequence[str], found: Sequence[options.Word]) -> Single:
    text = given[0]
    if not (text.isascii() and text.isdecimal()) or len(text) > 6:
        raise UserError(f'error in FD number "{text}"', "such as FD:3")
    number = int(text)
    return specs.Descriptors(number, number, **options.filled(word, specs.Descriptors, found))


def _file(kind: type[Any], **fixed: bool) -> _Make:
    def make(word: str, given: Sequence[str], found: Sequence[options.Word]) -> Single:
        if not given[0]:
            raise UserError(f"{word}: empty path", f"such as {word}:./file")
        spec: Single = kind(path=given[0], **fixed, **options.filled(word, kind, found))
        return spec

    return make


def _pipe(word: str, given: Sequence[str], found: Sequence[options.Word]) -> Single:
    if given and not given[0]:
        raise UserError(f"{word}: empty path", "PIPE without a path is an echo")
    groups = options.filled(word, specs.Pipe, found)
    if not given and groups:
        raise UserError(f"{word}: without a path it has no options")
    return specs.Pipe(given[0] if given else "", **groups)


def _port(word: str, text: str) -> int | str:
    """A number, or a service's name, which ``dataplane`` looks up."""
    if not text:
        raise UserError(f"{word}: empty port/service", "write the port's number")
    if text.isascii() and text.isdecimal():
        if len(text) > 5 or int(text) > 65535:
            raise UserError(f"{word}: not a port: {text!r}", "a port is a number from 0 to 65535")
        return int(text)
    if not text.isascii() or not text.replace("-", "").replace("_", "").isalnum():
        raise UserError(f"{word}: not a port or service: {text!r}", "write the port's number")
    return text


_KINDS: dict[str, tuple[int, int, _Make]] = {
    "TCP": (2, 2, _connecting(specs.TcpConnect, "")),
    "TCP4": (2, 2, _connecting(specs.TcpConnect, "4")),
    "TCP6": (2, 2, _connecting(specs.TcpConnect, "6")),
    "TCP-LISTEN": (1, 1, _listening(specs.TcpListen, "")),
    "TCP4-LISTEN": (1, 1, _listening(specs.TcpListen, "4")),
    "TCP6-LISTEN": (1, 1, _listening(specs.TcpListen, "6")),
    "UNIX": (1, 1, _unix(specs.UnixConnect)),
    "UNIX-LISTEN": (1, 1, _unix(specs.UnixListen)),
    "ABSTRACT": (1, 1, _unix(specs.UnixConnect, abstract=True)),
    "ABSTRACT-LISTEN": (1, 1, _unix(specs.UnixListen, abstract=True)),
    "OPENSSL": (2, 2, _connecting(specs.TlsConnect)),
    "OPENSSL-LISTEN": (1, 1, _listening(specs.TlsListen)),
    "UDP": (2, 2, _connecting(specs.UdpConnect, "")),
    "UDP4": (2, 2, _connecting(specs.UdpConnect, "4")),
    "UDP6": (2, 2, _connecting(specs.UdpConnect, "6")),
    "UDP-LISTEN": (1, 1, _listening(specs.UdpListen, "")),
    "UDP4-LISTEN": (1, 1, _listening(specs.UdpListen, "4")),
    "UDP6-LISTEN": (1, 1, _listening(specs.UdpListen, "6")),
    "EXEC": (1, 1, _program(by_shell=False)),
    "SYSTEM": (1, 1, _program(by_shell=True)),
    "STDIO": (0, 0, _stdio(0, 1)),
    "STDIN": (0, 0, _stdio(0, None)),
    "STDOUT": (0, 0, _stdio(None, 1)),
    "STDERR": (0, 0, _stdio(None, 2)),
    "FD": (1, 1, _descriptor),
    "OPEN": (1, 1, _file(specs.File)),
    "GOPEN": (1, 1, _file(specs.File, generic=True)),
    "CREATE": (1, 1, _file(specs.Create)),
    "PIPE": (0, 1, _pipe),
}
"""By canonical keyword: how many parameters it takes, at least and at most, and what it makes."""


def _usage(keyword: str) -> str:
    if keyword.endswith("LISTEN"):
        parameter = "PATH" if keyword.startswith(("UNIX", "ABSTRACT")) else "PORT"
        return f"{keyword}:{parameter}"
    if keyword.startswith(("TCP", "UDP", "OPENSSL")):
        return f"{keyword}:HOST:PORT, with an IPv6 address in brackets"
    parameters = {"EXEC": ":COMMAND", "SYSTEM": ":COMMAND", "FD": ":NUMBER", "PIPE": "[:PATH]"}
    return keyword + parameters.get(keyword, "" if keyword.startswith("STD") else ":PATH")


_USAGE = {keyword: f"write {_usage(keyword)}" for keyword in _KINDS}
