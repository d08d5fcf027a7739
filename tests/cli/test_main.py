import os
import subprocess
import sys
from types import ModuleType

import pytest

from ferryman.cli import main as cli
from ferryman.cli.output import UsageError
from ferryman.errors import UserError

FERRY = [sys.executable, "-m", "ferryman.cli.main"]


@pytest.fixture
def verb(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A verb ``test`` whose ``run`` is set by the test."""
    module = ModuleType("ferryman.cli.test")
    module.NAME, module.HELP = "test", "a verb"  # type: ignore[attr-defined]  # made up here
    module.add_arguments = lambda parser: parser.add_argument("--x")  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "ferryman.cli.test", module)
    monkeypatch.setattr(cli, "VERBS", {"test": "a verb"})
    return module


def ending_in(error: BaseException) -> object:
    def run(_: object) -> int:
        raise error

    return run


@pytest.mark.parametrize("name", cli.VERBS)
def test_a_verb_is_called_as_its_module_and_its_help_opens_with_the_summary(name: str) -> None:
    verb = cli._load(name)
    assert name == verb.NAME
    assert verb.HELP.splitlines()[0].rstrip(".").lower() == cli.VERBS[name].lower()
    assert f"usage: ferry {name}" in cli._parser(verb).format_help()


def test_what_a_verb_returns_is_the_exit_code(verb: ModuleType) -> None:
    verb.run = lambda _: 7  # type: ignore[attr-defined]
    assert cli.main(["test"]) == 7


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (UserError("no port", "name one of 1, 2"), 1, "error: no port\nhint: name one of 1, 2\n"),
        (UsageError("which port?"), 2, "error: which port?\n"),
        (KeyboardInterrupt(), 130, ""),
    ],
)
def test_how_a_verb_fails_is_the_exit_code(
    verb: ModuleType,
    capsys: pytest.CaptureFixture[str],
    error: BaseException,
    code: int,
    said: str,
) -> None:
    verb.run = ending_in(error)  # type: ignore[attr-defined]
    assert cli.main(["test"]) == code
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", said)


def test_an_unknown_option_is_a_usage_error(
    verb: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    verb.run = lambda _: 0  # type: ignore[attr-defined]
    with pytest.raises(SystemExit) as exit_:
        cli.main(["test", "--y"])
    assert exit_.value.code == 2
    assert "unrecognized arguments: --y" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("typed", "hint"),
    [
        ("forwrad", "did you mean forward?"),
        ("realy", "did you mean relay or replay?"),
        ("zzz", "the verbs are relay, socat, forward, tap"),
    ],
)
def test_a_mistyped_verb_is_told_what_is_near(
    typed: str, hint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main([typed]) == 2
    assert hint in capsys.readouterr().err


def test_no_verb_at_all_shows_the_overview_as_a_usage_error(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert cli.main([]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "forward local ports" in captured.err


def test_a_reader_that_goes_away_ends_the_command_quietly() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run(
            [*FERRY, "completion", "bash"], stdout=writing, stderr=subprocess.PIPE, check=False
        )
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (141, b"")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script_that_names_ferry(
    shell: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["completion", shell]) == 0
    assert "ferry" in capsys.readouterr().out


def test_the_shell_is_answered_with_verbs_and_options() -> None:
    line = "ferry forward --kube"
    answer_on_stdout = "import os; os.dup2(1, 8); from ferryman.cli.main import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", answer_on_stdout],
        env={**os.environ, "_ARGCOMPLETE": "1", "COMP_LINE": line, "COMP_POINT": str(len(line)),
             "_ARGCOMPLETE_IFS": "\n"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stdout.split() == ["--kubeconfig"]


def test_the_way_to_a_verb_imports_nothing_heavy() -> None:
    probe = "import sys, ferryman.cli.main; print(*sys.modules)"
    modules = subprocess.run(
        [sys.executable, "-c", probe], capture_output=True, text=True, check=True
    ).stdout.split()
    assert not {"asyncio", "ssl", "msgspec", "yaml", "argcomplete", "socket"} & set(modules)
