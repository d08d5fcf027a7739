"""TLS, as far as it is in clear: who is asked for, and what was agreed on; pure.

ClientHello and ServerHello are an exchange; after them everything is opaque. An alert in place of
a ServerHello is an answer, too. Sources: RFC 8446; RFC 6066 (SNI), RFC 7301 (ALPN).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

from ferryman.inspection.decoder import Decoder, Start, Undecodable
from ferryman.inspection.events import Facts, Fields, MessageBegan, MessageEnded, Recognised
from ferryman.inspection.feed import DOWN, UP, Direction
from ferryman.inspection.machine import Machine, Reader, Window, line

_Found = TypeVar("_Found")

HELLO_LIMIT = 65536
_RECORD_LIMIT = (1 << 14) + 2048  # TLS 1.2's; a plain one is smaller
_CHANGE, _ALERT, _HANDSHAKE, _DATA = 20, 21, 22, 23
_CLIENT_HELLO, _SERVER_HELLO = 1, 2
_SNI, _ALPN, _VERSIONS = 0, 16, 43
_RETRY = bytes.fromhex("cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c")
"""The random value of a ServerHello that asks for another ClientHello."""
_NAMES = {0x300: "SSL 3.0", 0x301: "TLS 1.0", 0x302: "TLS 1.1", 0x303: "TLS 1.2", 0x304: "TLS 1.3"}
_ALERTS = {
    0: "close_notify", 10: "unexpected_message", 20: "bad_record_mac", 22: "record_overflow",
    40: "handshake_failure", 42: "bad_certificate", 43: "unsupported_certificate",
    44: "certificate_revoked", 45: "certificate_expired", 46: "certificate_unknown",
    47: "illegal_parameter", 48: "unknown_ca", 49: "access_denied", 50: "decode_error",
    51: "decrypt_error", 70: "protocol_version", 71: "insufficient_security",
    80: "internal_error", 86: "inappropriate_fallback", 90: "user_canceled",
    109: "missing_extension", 110: "unsupported_extension", 112: "unrecognized_name",
    113: "bad_certificate_status_response", 115: "unknown_psk_identity",
    116: "certificate_required", 120: "no_application_protocol",
}  # fmt: skip
_CIPHERS = {
    0x002F: "TLS_RSA_WITH_AES_128_CBC_SHA",
    0x0035: "TLS_RSA_WITH_AES_256_CBC_SHA",
    0x009C: "TLS_RSA_WITH_AES_128_GCM_SHA256",
    0x009D: "TLS_RSA_WITH_AES_256_GCM_SHA384",
    0x009E: "TLS_DHE_RSA_WITH_AES_128_GCM_SHA256",
    0x009F: "TLS_DHE_RSA_WITH_AES_256_GCM_SHA384",
    0x1301: "TLS_AES_128_GCM_SHA256",
    0x1302: "TLS_AES_256_GCM_SHA384",
    0x1303: "TLS_CHACHA20_POLY1305_SHA256",
    0x1304: "TLS_AES_128_CCM_SHA256",
    0x1305: "TLS_AES_128_CCM_8_SHA256",
    0xC009: "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA",
    0xC00A: "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA",
    0xC013: "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA",
    0xC014: "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA",
    0xC023: "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256",
    0xC027: "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256",
    0xC02B: "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
    0xC02C: "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
    0xC02F: "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
    0xC030: "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
    0xCCA8: "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
    0xCCA9: "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
    0xCCAA: "TLS_DHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
}
"""Those that are in use; others are shown by their number (IANA's registry of TLS parameters)."""


def decoder(start: Start) -> Decoder:
    """For ``detect``."""
    return Tls(start)


class Tls(Machine):
    """One connection, up to its ServerHello."""

    def __init__(self, start: Start) -> None:
        super().__init__(start)
        self._hellos = {UP: bytearray(), DOWN: bytearray()}
        self._asked = 0  # the exchange whose answer is to come

    def _step(self, direction: Direction, window: Window) -> bool:
        if len(window) < 5:
            self._check(direction, window.peek(0, 5))
            return False
        head = window.peek(0, 5)
        self._check(direction, head)
        kind, size = head[0], int.from_bytes(head[3:], "big")
        if size > _RECORD_LIMIT:
            raise Undecodable("a TLS record that is too long")
        if kind == _DATA or (direction is UP and self._asked):
            # Early data, or whatever else may follow a ClientHello.
            window.take(5)
            window.body = size
            return True
        if len(window) < 5 + size:
            return False
        payload = window.take(5 + size)[5:]
        if kind == _HANDSHAKE:
            self._handshake(direction, payload)
        elif kind == _ALERT:
            self._alert(direction, payload)
        return True

    def _check(self, direction: Direction, head: bytes) -> None:
        """See early that what comes is not TLS."""
        kinds = (_HANDSHAKE, _CHANGE, _ALERT, _DATA)
        if (head and head[0] not in kinds) or (len(head) > 1 and head[1] != 3):
            what = "a client" if direction is UP else "a server"
            raise Undecodable(f"{what} that does not speak TLS")

    def _piece(self, direction: Direction, data: bytes, count: int, *, missed: bool) -> None:
        pass

    def _ended(self, direction: Direction) -> None:
        pass

    # --- Handshake.

    def _handshake(self, direction: Direction, payload: bytes) -> None:
        hello = self._hellos[direction]
        hello += payload
        if len(hello) < 4:
            return
        kind, size = hello[0], int.from_bytes(hello[1:4], "big")
        if kind != (_CLIENT_HELLO if direction is UP else _SERVER_HELLO) or size > HELLO_LIMIT:
            raise Undecodable("a handshake that does not begin with a hello")
        if len(hello) < 4 + size:
            return
        reader = Reader(bytes(hello[4 : 4 + size]))
        hello.clear()
        if direction is UP:
            self._client_hello(reader)
        else:
            self._server_hello(reader)

    def _client_hello(self, reader: Reader) -> None:
        version = _number(reader, 2)
        reader.take(32)
        reader.take(_number(reader, 1))
        ciphers = _numbers(Reader(reader.take(_number(reader, 2))), 2)
        reader.take(_number(reader, 1))
        extensions = dict(_extensions(reader))
        versions = _read(extensions.get(_VERSIONS), lambda it: _numbers(it, 2), length=1)
        best = max((number for number in versions if not _grease(number)), default=version)
        name = _read(extensions.get(_SNI), _server_names)
        protocols = _read(extensions.get(_ALPN), _protocols)
        facts: dict[str, str | int] = {"version": _version(best)}
        if name:
            facts["sni"] = line(name[0])
        if protocols:
            facts["alpn"] = ",".join(line(protocol) for protocol in protocols)
        offered = [_cipher(number) for number in ciphers if not _grease(number)]
        fields: Fields = (("ciphers", ", ".join(offered)),)
        self._report.say(Recognised("tls", facts))
        words = ["ClientHello", *(str(facts[key]) for key in ("sni", "alpn") if key in facts)]
        self._asked = self._report.number()
        self._say(UP, " ".join([*words, _version(best)]), fields, facts)

    def _server_hello(self, reader: Reader) -> None:
        version = _number(reader, 2)
        random = reader.take(32)
        reader.take(_number(reader, 1))
        cipher = _cipher(_number(reader, 2))
        reader.take(1)
        extensions = dict(_extensions(reader))
        chosen = extensions.get(_VERSIONS)
        if chosen is not None and len(chosen) == 2:
            version = int.from_bytes(chosen, "big")
        facts: dict[str, str | int] = {"version": _version(version), "cipher": cipher}
        if protocols := _read(extensions.get(_ALPN), _protocols):
            facts["alpn"] = line(protocols[0])
        if random == _RETRY:
            self._say(DOWN, "HelloRetryRequest", (), {"version": _version(version)})
            self._asked = 0
        else:
            self._say(DOWN, f"ServerHello {_version(version)} {cipher}", (), facts)
            self._opaque = True

    def _alert(self, direction: Direction, payload: bytes) -> None:
        if len(payload) != 2:
            raise Undecodable("an alert that is none")
        name = _ALERTS.get(payload[1], f"alert {payload[1]}")
        if direction is DOWN and self._asked:
            self._say(DOWN, f"alert {name}", (), {"error": name})
        else:
            self._report.alone(direction, f"alert {name}", facts={"error": name})
        self._opaque = True

    def _say(self, direction: Direction, text: str, fields: Fields, facts: Facts) -> None:
        alone = not self._asked
        number = self._asked or self._report.number()
        began = MessageBegan(number, direction, line(text), fields, facts, alone=alone)
        self._report.say(began)
        self._report.say(MessageEnded(number, direction, 0))


def _number(reader: Reader, count: int) -> int:
    return int.from_bytes(reader.take(count), "big")


def _numbers(reader: Reader, count: int) -> list[int]:
    return [_number(reader, count) for _ in range(len(reader.rest) // count)]


def _extensions(reader: Reader) -> Iterator[tuple[int, bytes]]:
    """By their number; TLS 1.2 may have none."""
    if not reader.rest:
        return
    inner = Reader(reader.take(_number(reader, 2)))
    while inner.rest:
        kind = _number(inner, 2)
        yield kind, inner.take(_number(inner, 2))


def _read(
    data: bytes | None, read: Callable[[Reader], list[_Found]], *, length: int = 2
) -> list[_Found]:
    """What is in an extension that is one list with its length before it."""
    if data is None:
        return []
    reader = Reader(data)
    if not data:  # a server's empty confirmation
        return []
    return read(Reader(reader.take(_number(reader, length))))


def _server_names(reader: Reader) -> list[bytes]:
    names = []
    while reader.rest:
        kind = _number(reader, 1)
        name = reader.take(_number(reader, 2))
        if kind == 0:
            names.append(name)
    return names


def _protocols(reader: Reader) -> list[bytes]:
    names = []
    while reader.rest:
        name = reader.take(_number(reader, 1))
        if len(name) != 2 or not _grease(int.from_bytes(name, "big")):
            names.append(name)
    return names


def _grease(number: int) -> bool:
    """A value that is there to be passed over: RFC 8701."""
    return number & 0x0F0F == 0x0A0A and number >> 8 == number & 0xFF


def _version(number: int) -> str:
    return _NAMES.get(number, f"version {number:#06x}")


def _cipher(number: int) -> str:
    return _CIPHERS.get(number, f"{number:#06x}")
