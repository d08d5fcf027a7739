"""PostgreSQL's values, rows and reports as text; pure."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ferryman.inspection.decoder import Undecodable
from ferryman.inspection.events import Fields
from ferryman.inspection.machine import Reader
from ferryman.inspection.titles import title

_NUMBERS = {20: ">q", 21: ">h", 23: ">i", 26: ">I", 700: ">f", 701: ">d"}  # by pg_type.oid
_ESCAPES = str.maketrans({"\t": "\\t", "\n": "\\n", "\r": "\\r", "\\": "\\\\"})
_REPORTED = {
    "D": "detail",
    "H": "hint",
    "W": "where",
    "q": "query",
    "t": "table",
    "n": "constraint",
}


@dataclass(frozen=True, slots=True)
class Column:
    """``binary``: its values come in a form of their type's own."""

    name: str
    type: int = 0
    binary: bool = False


def columns(payload: bytes) -> list[Column]:
    """RowDescription."""
    reader = Reader(payload)
    found = []
    for _ in range(reader.number(2)):
        name = reader.text().decode(errors="replace")
        reader.take(6)
        kind = reader.number(4)
        reader.take(6)
        found.append(Column(name, kind, reader.number(2) == 1))
    return found


def row(payload: bytes, of: Sequence[Column]) -> str:
    """DataRow, its values with tabs between them."""
    reader = Reader(payload)
    cells = []
    for number in range(reader.number(2)):
        column = of[number] if number < len(of) else Column("")
        size = reader.number(4)
        cells.append("NULL" if size < 0 else shown(reader.take(size), column.type, column.binary))
    return "\t".join(cells)


def shown(data: bytes, kind: int, binary: bool) -> str:
    """A value as text; binary ones of other than the plainest types as hexadecimal digits."""
    if binary:
        form = _NUMBERS.get(kind)
        if form is not None and struct.calcsize(form) == len(data):
            return str(struct.unpack(form, data)[0])
        if kind == 16 and len(data) == 1:
            return "t" if data[0] else "f"
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return "\\x" + data.hex()
    text = text.translate(_ESCAPES) if kind != 17 else text
    return "\\x" + data.hex() if binary and not text.isprintable() else text


def parameters(payload: bytes, kinds: Sequence[int]) -> Iterator[tuple[str, str]]:
    """Bind's parameters, named as the statement calls them; what was cut off is left out."""
    reader = Reader(payload)
    try:
        reader.text(), reader.text()
        formats = [reader.number(2) for _ in range(reader.number(2))]
        for number in range(reader.number(2)):
            form = formats[number if len(formats) > 1 else 0] if formats else 0
            size = reader.number(4)
            kind = kinds[number] if number < len(kinds) else 0
            value = "NULL" if size < 0 else shown(reader.take(size), kind, form == 1)
            yield f"${number + 1}", title(value)
    except (Undecodable, IndexError):
        return


def report(payload: bytes) -> dict[str, str]:
    """ErrorResponse and NoticeResponse: fields by their letter."""
    reader = Reader(payload)
    fields: dict[str, str] = {}
    while reader.rest and reader.rest[0]:
        key = reader.take(1).decode("latin-1")
        fields[key] = reader.text().decode(errors="replace")
    return fields


def reported(fields: dict[str, str]) -> Fields:
    """What a person may want to know besides severity, code and message."""
    return tuple((name, fields[key]) for key, name in _REPORTED.items() if key in fields)


def headline(fields: dict[str, str]) -> str:
    """Severity, SQLSTATE and message."""
    return " ".join(
        filter(None, (fields.get("V") or fields.get("S"), fields.get("C"), fields.get("M")))
    )
