"""Decides in which grammar an address is written: a short form, socat's, or a workload's; pure.

``-``, a keyword of socat's and ``A!!B`` are socat's; ``deploy/…`` is a workload; a path with
options is socat's GOPEN; everything else is a short form. A lone digit is a port, as in every
short form: socat's ``3`` is written FD:3.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from ferryman.addresses import short, socat, workloads
from ferryman.addresses.keywords import near
from ferryman.addresses.short import FORMS, TcpAddress, UnixAddress
from ferryman.addresses.specs import Spec
from ferryman.addresses.workloads import WorkloadAddress
from ferryman.errors import UserError

Written = TcpAddress | UnixAddress | Spec | WorkloadAddress

_HEAD = re.compile(r"[^:,!/]*")
_SHOUTED = re.compile(r"[A-Z][A-Z0-9-]+$")


def parse_written(text: str) -> Written:
    """What a text in any of the grammars means; raises UserError."""
    head = _HEAD.match(text)
    word = head[0] if head is not None else ""
    plain = "," not in text and "!!" not in text
    if word == "unix" and plain:
        return short.parse(text)  # our own form, for listening as well as for connecting
    if socat.is_keyword(word):
        return socat.parse(text)
    if workloads.is_workload(text):
        return workloads.parse(text)
    if not plain:
        return _with_options(text, word)
    close = near(word, 0.75 if _SHOUTED.match(word) else 0.85) if "/" not in text else ""
    if close and not word[0].isdigit():
        raise _like_socat(word, close)  # a host may be called so, but it is no likely name
    try:
        return short.parse(text)
    except UserError as error:
        if _SHOUTED.match(word):
            raise _like_socat(word, "") from error
        raise


def _with_options(text: str, word: str) -> Written:
    if "/" in text.partition(",")[0] or "!!" in text:
        return socat.parse(text)
    place, _, options = text.partition(",")
    likely = near(word, 0.6 if _SHOUTED.match(word) else 0.85)
    if likely or not re.search(r"(^|:)\d+$", place):
        raise _like_socat(word, likely)
    host, _, port = place.rpartition(":")
    listen, target = f"TCP-LISTEN:{port},{options}", f"TCP:{host or 'localhost'}:{port},{options}"
    hint = f"with options, write {listen} to listen or {target} to connect"
    raise UserError(f"a short form takes no options: {text!r}", hint)


def _like_socat(word: str, close: str) -> UserError:
    hint = f"did you mean {close}?" if close else f"write one of {FORMS}, or as socat has it"
    return UserError(f'unknown device/address "{word}"', hint)


def not_two(texts: Sequence[str]) -> UserError:
    """The error for any other number of addresses than two, in socat's words."""
    message = f"exactly 2 addresses required (there are {len(texts)})"
    joined: list[str] = []
    for text in texts:
        if joined and (joined[-1].endswith(",") or text.startswith(",")):
            joined[-1] += text
        else:
            joined.append(text)
    if len(joined) < len(texts):
        return UserError(message, f"no space beside a comma: write {' '.join(joined)}")
    return UserError(message, "where to listen, then where to connect to")
