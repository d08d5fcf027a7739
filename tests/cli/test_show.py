"""`ferry show FILE`: what was kept comes back, in every form, and as another file."""

from __future__ import annotations

import json
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from ferryman.cli import main as cli
from ferryman.inspection.feed import DOWN, UP
from tests.support.recorded import SECRET, answer, connection, request, write

USERS = [(UP, request("/v1/users?page=2")), (DOWN, answer(b'{"users":[1,2]}'))]
FAILED = [
    (UP, request("/v1/jobs", method="POST", body=b"run it")),
    (DOWN, answer(b"no such job", "404 Not Found", "text/plain")),
]
REDIS = [(UP, b"*2\r\n$3\r\nGET\r\n$1\r\na\r\n"), (DOWN, b"$3\r\nfoo\r\n")]


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    records = [*connection(1, [*USERS, *FAILED]), *connection(2, REDIS), *connection(3, USERS)]
    return write(tmp_path / "day.ferry", records)


def show(capfd: pytest.CaptureFixture[str], *words: object, code: int = 0) -> tuple[str, str]:
    assert cli.main(["show", *map(str, words)]) == code
    said = capfd.readouterr()
    return said.out, said.err


def test_a_recording_is_shown_as_it_was_live(
    recording: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out, err = show(capfd, recording)
    assert out.splitlines()[:6] == [
        "#1 127.0.0.1:40001 → localhost:8081",
        "#1 → GET /v1/users?page=2  0 B",
        "#1 ← 200 application/json  15 B  1.0 ms",
        "#1.2 → POST /v1/jobs  6 B",
        "#1.2 ← 404 text/plain  11 B  1.0 ms",
        "#1 closed: 144 B up, 243 B down, 4.0 ms",
    ]
    assert err == ""


def test_only_what_is_asked_for_is_shown_with_headers_and_bodies(
    recording: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out, _ = show(capfd, recording, "-v", "--only", "status=404")
    assert "no such job" in out
    assert "Cookie: [redacted]" in out
    assert "/v1/users" not in out


def test_what_is_grepped_for_is_found_in_bodies(
    recording: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out, _ = show(capfd, recording, "--grep", "run.it", "--format", "json")
    (line,) = out.splitlines()
    assert json.loads(line)["request"]["method"] == "POST"


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (("--format", "socat"), "length=63 from=0 to=62\n"),
        (("-x",), "00000000  47 45 54 20"),
        (("--format", "raw"), 'Content-Length: 15\r\n\r\n{"users":[1,2]}'),
    ],
)
def test_bytes_are_shown_masked(
    recording: Path, capfd: pytest.CaptureFixture[str], words: tuple[str, ...], part: str
) -> None:
    out, _ = show(capfd, recording, *words)
    assert part in out
    assert SECRET not in out


def test_without_redaction_it_says_that_secrets_are_not_in_the_file(
    recording: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out, err = show(capfd, recording, "-v", "--no-redact")
    assert f"s={SECRET}" not in out
    assert err == "secrets were masked when this was kept: they are not in the file\n"
    bare = write(tmp_path / "bare.ferry", connection(1, USERS), redact=False)
    assert SECRET in show(capfd, bare, "-v", "--no-redact")[0]
    assert SECRET not in show(capfd, bare, "-v")[0]


@pytest.mark.parametrize("kind", ["ferry", "pcapng", "har"])
def test_it_becomes_another_file_without_secrets(
    recording: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], kind: str
) -> None:
    other = tmp_path / f"other.{kind}"
    bare = write(tmp_path / "bare.ferry", connection(1, USERS), redact=False)
    assert show(capfd, bare, "-w", other) == ("", "")
    assert b"/v1/users" in other.read_bytes()
    assert SECRET.encode() not in other.read_bytes()
    assert stat.S_IMODE(other.stat().st_mode) == 0o600


def test_a_har_shows_the_same_exchanges(
    recording: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    show(capfd, recording, "-w", tmp_path / "x.har")
    out, _ = show(capfd, tmp_path / "x.har", "-v", "--only", "method=POST")
    assert out == show(capfd, recording, "-v", "--only", "method=POST")[0]
    only = tmp_path / "only.har"
    show(capfd, tmp_path / "x.har", "-w", only, "--only", "status>=400")
    assert len(json.loads(only.read_text())["log"]["entries"]) == 1


def test_of_bytes_whole_connections_are_kept_in_which_something_is_wanted(
    recording: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "one.ferry"
    show(capfd, recording, "-w", other, "--only", "method=POST")
    out, _ = show(capfd, other)
    assert "#1 → GET /v1/users?page=2  0 B" in out
    assert "#2" not in out
    assert "#3" not in out


def test_a_file_that_was_cut_short_is_shown_as_far_as_it_is_whole(
    recording: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    data = recording.read_bytes()
    recording.write_bytes(data[:-5])
    out, err = show(capfd, recording)
    assert "#3 → GET /v1/users?page=2  0 B" in out
    assert f"{recording}: it was cut short after" in err
    recording.write_bytes(data[:400] + b"\xff" * 40 + data[440:])
    assert "it is damaged after" in show(capfd, recording, code=1)[1]


def test_it_reads_standard_input(recording: Path) -> None:
    command = [sys.executable, "-m", "ferryman.cli.main", "show", "-"]
    with recording.open("rb") as file:
        run = subprocess.run(command, stdin=file, capture_output=True, text=True, check=True)
    piped = subprocess.run(
        command, input=recording.read_bytes(), capture_output=True, check=True, timeout=30
    )
    assert run.stdout == piped.stdout.decode()
    assert "#3 ← 200" in run.stdout


@pytest.mark.parametrize(
    ("content", "words", "said"),
    [
        (None, (), "cannot read {}: No such file or directory"),
        (b"", (), "this file is empty"),
        (b"hello\n", (), "this is no recording of ferry's"),
        (b"\n\r\r\n\x1c\0\0\0", (), "is Wireshark's: ferry writes such files"),
        (b'{"a": 1}', (), "this is no HAR"),
        (b'{"log": {"entries": []}}', ("-x",), "a HAR has exchanges, and no bytes"),
        (b'{"log": {"entries": []}}', ("-w", "x.pcapng"), "x.pcapng would be empty"),
        (b"ferry-recording 9 {}\n", (), "this recording is of version 9"),
    ],
)
def test_what_cannot_be_shown_is_refused_in_words(
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    content: bytes | None,
    words: tuple[str, ...],
    said: str,
) -> None:
    path = tmp_path / "x"
    if content is not None:
        path.write_bytes(content)
    _, err = show(capfd, path, *words, code=1)
    assert said.format(path) in err


def test_a_file_is_never_made_over_itself(
    recording: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    before = recording.read_bytes()
    _, err = show(capfd, recording, "-w", recording, "--force", code=1)
    assert "is what is to be shown" in err
    assert recording.read_bytes() == before
