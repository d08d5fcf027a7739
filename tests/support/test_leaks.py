import socket
import subprocess
import sys
import threading

import pytest

from tests.support import leaks


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leaks, "GRACE", 0.0)


def test_a_listening_socket_left_open_is_named_with_its_address() -> None:
    before = leaks.Census.take()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        (left,) = leaks.left_since(before)
        assert left.startswith("listening socket")
        assert str(listener.getsockname()[1]) in left
    assert leaks.left_since(before) == []


def test_a_descriptor_that_is_used_again_is_still_a_new_socket() -> None:
    first = socket.socket()
    before, number = leaks.Census.take(), first.fileno()
    first.close()
    with socket.socket() as second:
        assert second.fileno() == number
        assert len(leaks.left_since(before)) == 1


def test_a_thread_left_running_is_named() -> None:
    before, release = leaks.Census.take(), threading.Event()
    thread = threading.Thread(target=release.wait, name="straggler")
    thread.start()
    assert leaks.left_since(before) == ["thread straggler"]
    release.set()
    thread.join()
    assert leaks.left_since(before) == []


@pytest.mark.skipif(sys.platform != "linux", reason="children are read from /proc")
def test_a_process_left_running_is_named_with_its_command() -> None:
    before = leaks.Census.take()
    with subprocess.Popen(["/bin/cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdin.write(b"up\n")
        child.stdin.flush()
        child.stdout.readline()  # so it is cat by now, no longer a copy of this process
        assert leaks.left_since(before) == [f"process {child.pid}: /bin/cat "]
        child.kill()
    assert leaks.left_since(before) == []
