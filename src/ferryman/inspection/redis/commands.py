"""A Redis command's arguments: which name it, which are payload, which are secret; pure.

``requests`` takes the arguments off the wire; ``Command`` is told of them one after another.
Sources: redis.io/commands, and redis-server 7.0's commands.def for what carries a password.
"""

from __future__ import annotations

from ferryman.inspection.events import Facts
from ferryman.inspection.machine import line
from ferryman.inspection.titles import LIMIT

WORD_LIMIT = 512
"""Bytes of an argument that may be part of a title; longer ones are payload."""

SECRET_SETTINGS = frozenset(
    b"requirepass masterauth tls-key-file-pass tls-client-key-file-pass auth-pass sentinel-pass"
    .split()
)  # fmt: skip
"""Settings whose value is a password: CONFIG SET, CONFIG GET, SENTINEL SET."""

_BEFORE_PAYLOAD = {
    **dict.fromkeys(
        b"APPEND GETSET HMSET HSET LPUSH LPUSHX PFADD PUBLISH RPUSH RPUSHX SADD SET SETNX SPUBLISH"
        b" XADD ZADD GEOADD JSON.SET".split(),
        1,
    ),
    **dict.fromkeys(b"HSETNX PSETEX SETBIT SETEX SETRANGE RESTORE LSET".split(), 2),
    **dict.fromkeys(b"ECHO EVAL EVAL_RO MSET MSETNX".split(), 0),
}
"""How many arguments come before the payload; of other commands, all are named in the title."""

_WITHOUT_KEY = frozenset(
    b"ACL AUTH BGREWRITEAOF BGSAVE CLIENT CLUSTER COMMAND CONFIG DBSIZE DEBUG DISCARD ECHO EVAL"
    b" EVALSHA EVAL_RO EVALSHA_RO EXEC FAILOVER FCALL FCALL_RO FLUSHALL FLUSHDB FUNCTION HELLO"
    b" INFO KEYS LASTSAVE LATENCY LOLWUT MEMORY MIGRATE MODULE MONITOR MULTI OBJECT PING PSUBSCRIBE"
    b" PSYNC PUBSUB PUNSUBSCRIBE QUIT RANDOMKEY READONLY READWRITE REPLCONF REPLICAOF RESET ROLE"
    b" SAVE SCAN SCRIPT SELECT SENTINEL SHUTDOWN SLAVEOF SLOWLOG SUBSCRIBE SWAPDB SYNC TIME"
    b" UNSUBSCRIBE UNWATCH WAIT XREAD XREADGROUP".split()
)

_WITH_SECRETS = frozenset(b"ACL AUTH CONFIG HELLO MIGRATE SENTINEL".split())
_ACL_SECRETS = (b">", b"<", b"#", b"!")  # a password, one to forget, and the same as a digest


class Command:
    """One command, as far as it has come; ``words`` are the arguments that a title may name."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.seen = 0
        self.words: list[bytes] = []
        self.began = False
        self._shown: list[str] = []
        self._length = 0
        self._payload = False
        self._plain = False  # no secret can come: most commands are known by their name

    @property
    def name(self) -> bytes:
        """The command's, in upper case; empty if it is longer than any."""
        return self.words[0].upper() if self.words else b""

    @property
    def text(self) -> str:
        """The title."""
        return line(" ".join(self._shown))

    @property
    def facts(self) -> Facts:
        """What a filter may ask for."""
        facts = {"command": line(self.name)}
        if len(self.words) > 1 and self.name not in _WITHOUT_KEY:
            facts["key"] = line(self.words[1])
        return facts

    def has_payload(self, size: int) -> bool:
        """Whether the next argument, of that size, and all that follow it are payload."""
        if not self._payload and self.seen:
            most = _BEFORE_PAYLOAD.get(self.name)
            self._payload = (most is not None and self.seen > most) or (
                self._plain and (size > WORD_LIMIT or self._length + size > LIMIT)
            )
        return self._payload

    def add(self, word: bytes | None, shown: str) -> None:
        """The next argument was there; None: it is not to be remembered."""
        self.seen += 1
        self.words.append(word or b"")
        if self.seen == 1:
            self._plain = self.name not in _WITH_SECRETS
        self._shown.append(shown)
        self._length += len(shown) + 1

    def secret(self) -> bool:
        """Whether the whole next argument is a secret."""
        if self._plain:
            return False
        at, words = self.seen, self.words
        match self.name:
            case b"AUTH":
                return at == self.count - 1 or at > 1
            case b"HELLO":
                return at > 3 and words[at - 2].upper() == b"AUTH"
            case b"MIGRATE":
                before = words[at - 1].upper() if at > 5 else b""
                return before == b"AUTH" or (at > 6 and words[at - 2].upper() == b"AUTH2")
            case b"CONFIG":
                return self._setting(2)
            case b"SENTINEL":
                return self._setting(3)
        return False

    def secret_from(self, word: bytes) -> int | None:
        """The index in this next argument at which a secret begins, if it has one."""
        rule = self.name == b"ACL" and self.seen > 2 and self.words[1].upper() == b"SETUSER"
        return 1 if rule and word.startswith(_ACL_SECRETS) else None

    def _setting(self, first: int) -> bool:
        """Whether a secret setting's value comes next: they are name, value from ``first`` on."""
        at, words = self.seen, self.words
        value = at > first and (at - first) % 2 == 1
        return value and words[1].upper() == b"SET" and words[at - 1].lower() in SECRET_SETTINGS


def spoken(word: bytes) -> str:
    """An argument as it is typed: quoted only if it would be taken for several, or for none."""
    within = quoted(word)
    plain = word and not set(word) & set(b" '\"\\") and within[1:-1].encode() == word
    return within[1:-1] if plain else within


def quoted(word: bytes) -> str:
    """A string in quotes, its escapes as redis-cli writes them; readable UTF-8 stays readable."""
    try:
        text, coding = word.decode(), "utf-8"
    except UnicodeDecodeError:
        text, coding = word.decode("latin-1"), "latin-1"
    if coding == "utf-8" and text.isprintable() and not set(text) & _SPECIAL:
        return f'"{text}"'
    return '"' + "".join(_escaped(character, coding) for character in text) + '"'


def _escaped(character: str, coding: str) -> str:
    if character in _ESCAPES:
        return _ESCAPES[character]
    if character.isprintable() and (coding == "utf-8" or character.isascii()):
        return character
    return "".join(f"\\x{byte:02x}" for byte in character.encode(coding))


_ESCAPES = {
    "\n": "\\n",
    "\r": "\\r",
    "\t": "\\t",
    "\a": "\\a",
    "\b": "\\b",
    '"': '\\"',
    "\\": "\\\\",
}
_SPECIAL = {'"', "\\"}
