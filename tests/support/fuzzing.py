"""Inputs that nobody thought of: known ones, changed at random, as long as that tells us news.

A *target* takes bytes and returns what came of them in few words (its *signature*); it raises only
if something is wrong. An input with a signature that was not seen before is kept, and changed
further: that is how a search without a compiler's help gets into the corners. ``fuzz_targets`` has
the targets; the kept inputs that are worth it are checked in under tests/soak/corpus.
"""

from __future__ import annotations

import hashlib
import os
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

CORPUS = Path(__file__).parents[1] / "soak" / "corpus"
LARGEST = 1 << 16
"""Bytes of an input."""
SLOW = 5.0
"""Seconds that no input of that size may take, on a machine that is busy with other things."""
_MOST_KEPT = 4000
_WORTH_KEEPING, _MOST_FILES = 512, 24
_NUMBERS = (0, 1, 2, 3, 4, 7, 8, 0x7F, 0x80, 0xFF, 0x100, 0x7FFF, 0x8000, 0xFFFF, 0x10000,
            0x7FFFFF, 0xFFFFFF, 0x1000000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)  # fmt: skip


@dataclass(frozen=True)
class Target:
    """``words`` are pieces of its language, to be put in here and there."""

    name: str
    run: Callable[[bytes], str]
    seeds: Callable[[], Sequence[bytes]]
    words: tuple[bytes, ...] = ()


@dataclass
class Findings:
    """What a run has seen."""

    inputs: int = 0
    signatures: set[str] = field(default_factory=set)


def corpus(target: Target) -> list[bytes]:
    """The checked-in inputs of a target; those that once failed begin with ``crash``."""
    return [file.read_bytes() for file in sorted((CORPUS / target.name).glob("*"))]


def fuzz(
    target: Target,
    *,
    seed: int | str,
    inputs: float = float("inf"),
    seconds: float = float("inf"),
    keep: bool = False,
) -> Findings:
    """Try the seeds, the corpus, then changed ones, until there were so many or it took so long.

    With ``keep``, the first few small inputs with news are written to the corpus. One that fails
    always is.
    """
    chance, found = random.Random(f"{target.name} {seed}"), Findings()
    pool: list[bytes] = []

    def attempt(data: bytes) -> bool:
        """Whether it told news."""
        signature = _run(target, data)
        found.inputs += 1
        if signature in found.signatures:
            return False
        found.signatures.add(signature)
        if len(pool) < _MOST_KEPT:
            pool.append(data)
        return True

    for data in (*target.seeds(), *corpus(target)):
        attempt(data)
        if data not in pool:
            pool.append(data)
    end = time.monotonic() + seconds
    while found.inputs < inputs and time.monotonic() < end:
        data = changed(chance, pool, target.words)
        news = attempt(data)
        small = len(data) <= _WORTH_KEEPING
        if news and keep and small and len(corpus(target)) < _MOST_FILES:
            _write(target, "kept", data)
    return found


def changed(chance: random.Random, pool: Sequence[bytes], words: Sequence[bytes]) -> bytes:
    """One of them with a few random changes."""
    data = bytearray(chance.choice(pool))
    for _ in range(chance.choice((1, 1, 1, 2, 3, 5, 8))):
        _CHANGES[chance.randrange(len(_CHANGES))](chance, data, pool, words)
    return bytes(data[:LARGEST])


def _run(target: Target, data: bytes) -> str:
    began = time.monotonic()
    try:
        signature = target.run(data)
        took = time.monotonic() - began
        assert took < SLOW, f"{len(data)} bytes took {took:.1f} s"
    except BaseException as error:
        file = _write(target, "crash", data)
        error.add_note(f"the input is {os.path.relpath(file)}")
        raise
    return signature


def _write(target: Target, sort: str, data: bytes) -> Path:
    folder = CORPUS / target.name
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{sort}-{hashlib.sha256(data).hexdigest()[:12]}"
    file.write_bytes(data)
    return file


Pool = Sequence[bytes]


def _place(chance: random.Random, data: bytearray) -> int:
    return chance.randrange(len(data) + 1)


def _flip(chance: random.Random, data: bytearray, _: Pool, __: Pool) -> None:
    if data:
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)


def _set(chance: random.Random, data: bytearray, _: Pool, __: Pool) -> None:
    if data:
        data[chance.randrange(len(data))] = chance.randrange(256)


def _number(chance: random.Random, data: bytearray, _: Pool, __: Pool) -> None:
    """An interesting number, as one to four bytes, either way round."""
    size = chance.choice((1, 2, 3, 4))
    number = (chance.choice(_NUMBERS) + chance.choice((-1, 0, 0, 1))) % (1 << (8 * size))
    place = _place(chance, data)
    data[place : place + size] = number.to_bytes(size, chance.choice(("big", "little")))


def _delete(chance: random.Random, data: bytearray, _: Pool, __: Pool) -> None:
    place = _place(chance, data)
    del data[place : place + chance.choice((1, 2, 4, 8, 64, 512))]


def _repeat(chance: random.Random, data: bytearray, _: Pool, __: Pool) -> None:
    place = _place(chance, data)
    piece = data[place : place + chance.choice((1, 4, 16, 64, 512))]
    data[place:place] = piece * chance.choice((1, 1, 2, 8, 64))


def _splice(chance: random.Random, data: bytearray, pool: Pool, _: Pool) -> None:
    """The tail, or a piece, of another one."""
    other = chance.choice(pool)
    start = chance.randrange(len(other) + 1)
    place = _place(chance, data)
    if chance.random() < 0.5:
        data[place:] = other[start:]
    else:
        data[place:place] = other[start : start + chance.randrange(1, 256)]


def _truncate(chance: random.Random, data: bytearray, _: Pool, __: Pool) -> None:
    del data[_place(chance, data) :]


def _word(chance: random.Random, data: bytearray, _: Pool, words: Pool) -> None:
    if words:
        place = _place(chance, data)
        data[place : place + chance.choice((0, 0, 1, 4, 8))] = chance.choice(words)


_CHANGES = (_flip, _set, _number, _number, _delete, _repeat, _splice, _splice, _truncate, _word,
            _word)  # fmt: skip
