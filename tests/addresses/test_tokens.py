import pytest
from hypothesis import given
from hypothesis import strategies as st

from ferryman.addresses.tokens import LONGEST, Reader, words
from ferryman.errors import UserError

# What is written, and the token that socat 1.7.4.4 makes of it, up to a comma.
TOKENS = [
    ("plain", "plain"),
    ("a'b c'd", "ab cd"),
    ("a'b,c'd", "ab,cd"),
    ("a'b\"c'd", 'ab"cd'),
    ("a'b(c'd", "ab(cd"),
    ("a'b\\'c'd", "ab'cd"),
    ("a'b\\nc'd", "ab\ncd"),
    ('a"b\\"c"d', 'ab"cd'),
    ('a"b,c"d', "ab,cd"),
    ('a"b(c)"d', "ab(c)d"),
    ("a\"b'x,(y'c\"d", "ab'x,(y'cd"),
    ("a(b,c)d", "a(b,c)d"),
    ('a(b"c,"d)e', 'a(b"c,"d)e'),
    ("a(b'c)d'e)f", "a(b'c)d'e)f"),
    ("a(b[c)d,e]f)g", "a(b[c)d,e]f)g"),
    ("a{b,c}d", "a{b,c}d"),
    ("a[b,c]d", "a[b,c]d"),
    ("a(b\\)c,d)e", "a(b)c,d)e"),
    ('a(b"c)"d)e,x', 'a(b"c)"d)e'),
    ("a)b]c}d,x", "a)b]c}d"),
    ("a\\,b", "a,b"),
    ("a\\\\b", "a\\b"),
    ("a\\qb", "aqb"),
    ("a\\101b\\x41", "a101bx41"),
    ("\\a\\b\\f\\n\\r\\t\\v\\e", "\a\b\f\n\r\t\ve"),
    ("a!b", "a!b"),
    ("", ""),
]


@pytest.mark.parametrize(("text", "token"), TOKENS, ids=[t[0] for t in TOKENS])
def test_a_token_is_read_as_socat_reads_it(text: str, token: str) -> None:
    assert Reader(text).token(",") == token


@pytest.mark.parametrize(
    "text",
    ['"', "'", '"a', "a'b", 'a"b\'c"d', '"b(c"d', "a\\", "a'b\\", "a(b", "a(b]c", '(b"c)d', "[::1"],
)
def test_what_is_not_closed_is_refused(text: str) -> None:
    with pytest.raises(UserError, match="unexpected end of address"):
        Reader(text).token(",")


def test_a_zero_byte_and_a_token_beyond_socats_buffer_are_refused() -> None:
    for text in ("a\\0b", "x" * (LONGEST + 1), "é" * LONGEST):
        with pytest.raises(UserError):
            Reader(text).token(",")
    assert Reader("x" * LONGEST).token(",") == "x" * LONGEST


COMMANDS = [
    ("cat -n", ("cat", "-n")),
    ("  cat   -n ", ("cat", "-n")),
    ('printf "a  b" c', ("printf", "a  b", "c")),
    ("printf 'a  b'", ("printf", "a  b")),
    ('printf "" x', ("printf", "", "x")),
    ("printf (a b) [c d]", ("printf", "(a b)", "[c d]")),
    ("printf a\\ b", ("printf", "a b")),
    ("", ()),
]


@pytest.mark.parametrize(("command", "expected"), COMMANDS, ids=[c[0] for c in COMMANDS])
def test_a_command_is_cut_into_words(command: str, expected: tuple[str, ...]) -> None:
    assert words(command) == expected


@given(st.text())
def test_a_quoted_text_is_that_text(text: str) -> None:
    text = text.replace("\0", "")[:200].encode(errors="ignore").decode()
    written = "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
    if len(text.encode()) <= LONGEST:
        assert Reader(written).token(",") == text
