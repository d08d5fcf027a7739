from __future__ import annotations

import base64
import stat
from pathlib import Path

import pytest

from ferryman.access.kubeconfig import load
from ferryman.demo import kubeconfig
from ferryman.errors import UserError

TEXT = kubeconfig.render("https://127.0.0.1:7", b"-----PEM-----", "secret")


def test_the_file_is_private_and_taken_away_again(tmp_path: Path) -> None:
    path = tmp_path / "kubeconfig"
    kubeconfig.write(path, TEXT)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [p.name for p in tmp_path.iterdir()] == ["kubeconfig"]
    kubeconfig.remove(path, TEXT)
    assert not path.exists()
    kubeconfig.remove(path, TEXT)


def test_a_demos_own_file_is_replaced_and_nobody_elses(tmp_path: Path) -> None:
    path = tmp_path / "config"
    kubeconfig.write(path, TEXT)
    kubeconfig.write(path, TEXT + "\n")
    path.write_text("apiVersion: v1\n")
    with pytest.raises(UserError, match="is not a demo's"):
        kubeconfig.write(path, TEXT)
    assert path.read_text() == "apiVersion: v1\n"
    kubeconfig.remove(path, TEXT)
    assert path.exists()


def test_a_missing_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no folder"):
        kubeconfig.write(tmp_path / "none" / "config", TEXT)


def test_our_own_loader_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "kubeconfig"
    kubeconfig.write(path, TEXT)
    access = load(str(path), None, {})
    assert access.context_name == "ferryman-demo"
    assert access.namespace == "default"
    assert access.server == "https://127.0.0.1:7"
    assert access.tls is not None
    assert access.tls.ca == b"-----PEM-----"
    assert base64.b64encode(b"-----PEM-----").decode() in TEXT
