"""The options of socat's addresses: names, types, and which field of ``specs`` each one sets; pure.

An option is honoured or refused by name, never ignored: a kind of address has the groups of
options that its dataclass has. ``socat`` cuts an address into words and asks ``filled``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ferryman.addresses import specs
from ferryman.errors import UserError

Value = bool | int | float | str
Word = tuple[str, str | None]
"""An option as it is written: its name, and what stands after the ``=``, if there is one."""


class _Bad(Exception):
    """Why a value is none."""


def _flag(text: str | None) -> bool:
    return True if text is None else _number(text) != 0


def _const(text: str | None) -> bool:
    if text is not None:
        raise _Bad("no value permitted")
    return True


def _number(text: str | None) -> int:
    """As strtol(3) with base 0 reads it: 10, 0x10, 010."""
    given = _given(text).strip(" ") if text else _given(text)
    digits = given.removeprefix("-")
    base = 16 if digits[:2].lower() == "0x" else 8 if digits[:1] == "0" and digits != "0" else 10
    try:
        if not digits.isascii() or "_" in digits or digits.startswith("+"):
            raise _Bad("a number is expected")
        return int(given, base)
    except ValueError:
        raise _Bad("a number is expected") from None


def _natural(text: str | None) -> int:
    number = _number(text)
    if not 0 <= number < 2**31:
        raise _Bad("a number from 0 is expected")
    return number


def _one(text: str | None) -> int:
    return 1 if text is None else _natural(text)


def _port(text: str | None) -> int:
    number = _number(text)
    if not 0 <= number <= 65535:
        raise _Bad("a port is a number from 0 to 65535")
    return number


def _octal(text: str | None) -> int:
    given = _given(text)
    if not given or set(given) - set("01234567") or len(given) > 5:
        raise _Bad("an octal number is expected, such as 0600")
    return int(given, 8)


def _seconds(text: str | None) -> float:
    given = _given(text)
    try:
        if not given.isascii() or "_" in given:
            raise ValueError
        seconds = float(given)
    except ValueError:
        raise _Bad("seconds are expected, such as 0.5") from None
    if not 0 <= seconds < 1e9:
        raise _Bad("seconds are expected, such as 0.5")
    return seconds


def _text(text: str | None) -> str:
    return _given(text)


def _family(text: str | None) -> str:
    found = {"ip4": "4", "ipv4": "4", "inet": "4", "2": "4", "ip6": "6", "ipv6": "6", "inet6": "6"}
    given = found.get(_given(text).lower())
    if given is None:
        raise _Bad("the families are ip4 and ip6")
    return given


def _given(text: str | None) -> str:
    if text is None:
        raise _Bad("value required")
    return text


@dataclasses.dataclass(frozen=True, slots=True)
class _Option:
    group: str
    field: str
    read: Callable[[str | None], Value]


_OPTIONS: Mapping[str, _Option] = {
    "keepalive": _Option("sock", "keepalive", _flag),
    "reuseaddr": _Option("sock", "reuseaddr", _flag),
    "rcvbuf": _Option("sock", "rcvbuf", _natural),
    "sndbuf": _Option("sock", "sndbuf", _natural),
    "nodelay": _Option("tcp", "nodelay", _flag),
    "keepidle": _Option("tcp", "keepidle", _natural),
    "keepintvl": _Option("tcp", "keepintvl", _natural),
    "keepcnt": _Option("tcp", "keepcnt", _natural),
    "bind": _Option("place", "bind", _text),
    "sourceport": _Option("place", "source_port", _port),
    "reuseport": _Option("place", "reuseport", _flag),
    "ipv6only": _Option("place", "v6only", _flag),
    "pf": _Option("place", "family", _family),
    "retry": _Option("retry", "retry", _one),
    "forever": _Option("retry", "forever", _flag),
    "interval": _Option("retry", "interval", _seconds),
    "connect-timeout": _Option("connect", "timeout", _seconds),
    "fork": _Option("listen", "fork", _flag),
    "max-children": _Option("listen", "max_children", _natural),
    "backlog": _Option("listen", "backlog", _natural),
    "accept-timeout": _Option("listen", "accept_timeout", _seconds),
    "range": _Option("range", "range", _text),
    "mode": _Option("name", "mode", _octal),
    "user": _Option("name", "user", _text),
    "group": _Option("name", "group", _text),
    "umask": _Option("name", "umask", _octal),
    "unlink-early": _Option("name", "unlink_early", _flag),
    "unlink-close": _Option("name", "unlink_close", _flag),
    "rdonly": _Option("open", "rdonly", _flag),
    "wronly": _Option("open", "wronly", _flag),
    "rdwr": _Option("open", "rdwr", _flag),
    "append": _Option("open", "append", _flag),
    "creat": _Option("open", "creat", _flag),
    "excl": _Option("open", "excl", _flag),
    "trunc": _Option("open", "trunc", _flag),
    "nofollow": _Option("open", "nofollow", _flag),
    "sync": _Option("open", "sync", _flag),
    "raw": _Option("terminal", "raw", _const),
    "rawer": _Option("terminal", "rawer", _const),
    "cfmakeraw": _Option("terminal", "cfmakeraw", _const),
    "echo": _Option("terminal", "echo", _flag),
    "icanon": _Option("terminal", "icanon", _flag),
    "isig": _Option("terminal", "isig", _flag),
    "opost": _Option("terminal", "opost", _flag),
    "onlcr": _Option("terminal", "onlcr", _flag),
    "icrnl": _Option("terminal", "icrnl", _flag),
    "pty": _Option("program", "pty", _flag),
    "pipes": _Option("program", "pipes", _flag),
    "stderr": _Option("program", "stderr", _flag),
    "setsid": _Option("program", "setsid", _flag),
    "ctty": _Option("program", "ctty", _flag),
    "dash": _Option("program", "dash", _flag),
    "path": _Option("program", "path", _text),
    "cert": _Option("tls", "cert", _text),
    "key": _Option("tls", "key", _text),
    "cafile": _Option("tls", "cafile", _text),
    "capath": _Option("tls", "capath", _text),
    "verify": _Option("tls", "verify", _flag),
    "snihost": _Option("tls", "snihost", _text),
    "no-sni": _Option("tls", "no_sni", _flag),
    "commonname": _Option("tls", "commonname", _text),
    "ciphers": _Option("tls", "ciphers", _text),
    "min-version": _Option("tls", "min_version", _text),
    "max-version": _Option("tls", "max_version", _text),
}
"""By the name that is used most; each has the group and the field that it sets."""

_ALIASES: Mapping[str, str] = {
    alias: name
    for name, aliases in {
        "keepalive": "so-keepalive",
        "reuseaddr": "so-reuseaddr",
        "reuseport": "so-reuseport",
        "rcvbuf": "so-rcvbuf",
        "sndbuf": "so-sndbuf",
        "nodelay": "tcp-nodelay",
        "keepidle": "tcp-keepidle",
        "keepintvl": "tcp-keepintvl",
        "keepcnt": "tcp-keepcnt",
        "sourceport": "sp",
        "ipv6only": "ipv6-v6only v6only",
        "pf": "protocol-family",
        "interval": "intervall",
        "max-children": "maxchildren",
        "accept-timeout": "listen-timeout",
        "mode": "perm",
        "user": "uid owner",
        "group": "gid",
        "unlink-early": "new",
        "rdonly": "o-rdonly o_rdonly",
        "wronly": "o-wronly o_wronly",
        "rdwr": "o-rdwr o_rdwr",
        "append": "o-append",
        "creat": "o-create create o-creat o_create",
        "excl": "o-excl o_excl",
        "trunc": "o-trunc",
        "nofollow": "o-nofollow o_nofollow",
        "sync": "o-sync o_sync",
        "rawer": "termios-rawer",
        "cfmakeraw": "termios-cfmakeraw",
        "setsid": "sid",
        "ctty": "tiocsctty",
        "dash": "login",
        "cert": "openssl-certificate certificate",
        "key": "openssl-key",
        "cafile": "openssl-cafile",
        "capath": "openssl-capath",
        "verify": "openssl-verify",
        "snihost": "openssl-snihost",
        "no-sni": "openssl-no-sni nosni",
        "commonname": "openssl-commonname cn",
        "ciphers": "openssl-cipherlist cipherlist cipher",
        "min-version": "openssl-min-proto-version",
        "max-version": "openssl-max-proto-version",
    }.items()
    for alias in aliases.split()
}

_INSTEAD: Mapping[str, str] = {
    "tcpwrap": "range=127.0.0.0/8 serves loopback only",
    "tcpwrappers": "range=127.0.0.0/8 serves loopback only",
    "crnl": "the bytes pass as they are",
    "nofork": "the program runs beside ferry",
    "su": "run ferry as that user",
    "unlink": "unlink-early removes what is in the way",
    "lockfile": "run ferry by flock(1)",
    "waitlock": "run ferry by flock(1)",
    "fips": "OpenSSL's own configuration decides",
    "method": "min-version=TLS1.2 and max-version=TLS1.3 choose the protocol",
}
"""What to do instead of some options that are not honoured."""


def filled(keyword: str, spec: type[Any], words: Iterable[Word]) -> dict[str, Any]:
    """The groups of options that the words set, by their field's name in the kind's dataclass.

    A later word wins. Raises UserError, which names the option and what is near.
    """
    groups: dict[str, Any] = {field.name: field.default for field in dataclasses.fields(spec)}
    changed: dict[str, dict[str, Value]] = {}
    for written, text in words:
        name = written.lower()
        option = _OPTIONS.get(_ALIASES.get(name, name))
        if option is None or option.group not in groups:
            raise _refused(keyword, written, groups)
        try:
            changed.setdefault(option.group, {})[option.field] = option.read(text)
        except _Bad as why:
            said = written if text is None else f"{written}={text}"
            raise UserError(f'option "{said}" of {keyword}: {why}') from None
    return {
        group: dataclasses.replace(groups[group], **fields) for group, fields in changed.items()
    }


def _refused(keyword: str, written: str, groups: Iterable[str]) -> UserError:
    name = written.lower()
    if written != written.strip():
        return UserError(f'unknown option "{written}"', "leave the space out")
    if name in _INSTEAD:
        return UserError(f'option "{written}" is not supported by ferry', _INSTEAD[name])
    if _ALIASES.get(name, name) in _OPTIONS:
        return UserError(f'option "{written}" not supported with {keyword}', _have(groups))
    import difflib  # only a mistake needs it

    known = _of(groups)
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]}?" if near else _have(groups)
    return UserError(f'unknown option "{written}" of {keyword}', hint)


def _of(groups: Iterable[str]) -> list[str]:
    """The options of these groups."""
    wanted = set(groups)
    return [name for name, option in _OPTIONS.items() if option.group in wanted]


def _have(groups: Iterable[str]) -> str:
    known = _of(groups)
    return f"it has {', '.join(known)}" if known else "it has no options"


def check(spec: specs.Single, keyword: str) -> None:
    """Raise UserError for options that contradict each other, or another part of the address."""
    listen = getattr(spec, "listen", None)
    if listen is not None and listen.max_children and not listen.fork:
        raise UserError("option max-children not allowed without option fork", "add fork")
    place = getattr(spec, "place", None)
    if place is not None and place.v6only is not None and "4" in (_family_of(spec), place.family):
        raise UserError(f'option "ipv6only" not supported with {keyword}', "it is for IPv6")
    flags = getattr(spec, "open", None)
    if flags is not None and flags.rdonly + flags.wronly + flags.rdwr > 1:
        raise UserError(f"{keyword}: rdonly, wronly and rdwr exclude each other")
    if isinstance(spec, specs.Program):
        _check_program(spec, keyword)


def _family_of(spec: specs.Single) -> str:
    """The family that the keyword says, as TCP4 does; empty if it says none."""
    return getattr(spec, "family", "")


def _check_program(spec: specs.Program, keyword: str) -> None:
    program = spec.program
    if program.pty and program.pipes:
        raise UserError(f"{keyword}: pty and pipes exclude each other")
    if program.ctty and not (program.pty and program.setsid):
        raise UserError(f"{keyword}: ctty needs pty and setsid", "add pty,setsid")
    if spec.terminal != specs.TerminalOptions() and not program.pty:
        none, set_ = specs.TerminalOptions(), spec.terminal
        names = [f for f in set_.__slots__ if getattr(set_, f) != getattr(none, f)]
        raise UserError(f"{keyword}: {', '.join(names)} needs a terminal", "add pty")
