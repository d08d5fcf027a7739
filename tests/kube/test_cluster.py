import pytest

from ferryman.access.credentials import Fixed, bearer
from ferryman.access.kubeconfig import Access
from ferryman.errors import UserError
from ferryman.kube.cluster import cluster_settings
from ferryman.runtime.tls import TLSSettings


def access(server: str, tls: TLSSettings | None = None) -> Access:
    return Access("dev", "c", "default", server, tls, Fixed(bearer("s3cret")))


@pytest.mark.parametrize(
    ("server", "host", "port", "path"),
    [
        ("https://10.0.0.1:6443", "10.0.0.1", 6443, ""),
        ("https://rancher/k8s/clusters/c-1", "rancher", 443, "/k8s/clusters/c-1"),
        ("http://localhost", "localhost", 80, ""),
        ("https://[fd00::1]:6443/", "fd00::1", 6443, ""),
    ],
)
async def test_a_server_is_taken_apart(server: str, host: str, port: int, path: str) -> None:
    settings = await cluster_settings("c", access(server, TLSSettings()))
    assert (settings.host, settings.port, settings.path) == (host, port, path)
    assert settings.headers == (("authorization", "Bearer s3cret"),)
    assert "s3cret" not in repr(settings)


@pytest.mark.parametrize("server", ["https://", "https://h:99999", "https://[x"])
async def test_what_is_no_url_is_refused(server: str) -> None:
    with pytest.raises(UserError, match="not a server's URL"):
        await cluster_settings("c", access(server))
