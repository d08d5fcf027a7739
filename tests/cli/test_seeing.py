"""The options of seeing and keeping, as plain data."""

from __future__ import annotations

import argparse
import io

import pytest

from ferryman.cli.output import UsageError
from ferryman.cli.seeing import add_seeing_arguments, parse_size, seeing_of
from ferryman.inspector.seeing import BODY_LIMIT, Seeing


def seeing(*words: str) -> Seeing:
    parser = argparse.ArgumentParser()
    add_seeing_arguments(parser)
    return seeing_of(parser.parse_args(words), io.StringIO())


def test_without_options_it_is_a_summary_without_secrets() -> None:
    assert seeing() == Seeing()
    assert not seeing().needs_bodies
    assert seeing().body_limit == 0


def test_options_become_data_that_survives_json() -> None:
    words = "-v -x --format json --only method=GET --grep a+ --max-body 2k --no-redact -w a.har"
    said = seeing(*words.split(), "-w", "b.pcapng", "--force")
    assert said == Seeing(
        format="json",
        verbose=True,
        hexadecimal=True,
        only="method=GET",
        grep="a+",
        max_body=2000,
        redact=False,
        files=("a.har", "b.pcapng"),
        force=True,
    )
    assert Seeing.from_json(said.as_json()) == said


@pytest.mark.parametrize(
    "words", ["-v", "-x", "--format raw", "--format socat", "--grep x", "-w a.ferry"]
)
def test_what_needs_bodies_copied(words: str) -> None:
    assert seeing(*words.split()).needs_bodies
    assert seeing(*words.split()).body_limit > 0


@pytest.mark.parametrize("words", ["--only status>=400", "--format json", "--no-color"])
def test_what_does_not(words: str) -> None:
    assert not seeing(*words.split()).needs_bodies


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("512", 512),
        ("64k", 64_000),
        ("64kB", 64_000),
        ("2MB", 2_000_000),
        ("1MiB", 1 << 20),
        ("16Ki", 16384),
        ("all", BODY_LIMIT),
    ],
)
def test_sizes(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--max-body", "lots"), "not a size: 'lots'"),
        (("--max-body=-1",), "not a size"),
        (("--max-body", "1G"), "1G is more of a body than is held"),
        (("--grep", "("), "--grep: not a regular expression"),
        (("-w", "x.txt"), "cannot tell what to write to 'x.txt'"),
        (("-w", "a.har", "-w", "a.har"), "-w names the same file twice"),
    ],
)
def test_mistakes_are_usage_errors_in_words(words: tuple[str, ...], said: str) -> None:
    with pytest.raises(UsageError) as refused:
        seeing(*words)
    assert said in str(refused.value)
