import pytest

from ferryman.access.proxies import choose, parse
from ferryman.errors import UserError
from ferryman.protocols.proxy import Proxy


@pytest.mark.parametrize(
    ("url", "proxy"),
    [
        ("http://p:3128", Proxy("http", "p", 3128)),
        ("http://p", Proxy("http", "p", 80)),
        ("HTTP://P/", Proxy("http", "p", 80)),
        ("https://jane:p@p", Proxy("https", "p", 443, "jane", "p")),
        ("socks5://[::1]:9050", Proxy("socks5", "::1", 9050)),
        ("socks5h://p", Proxy("socks5", "p", 1080)),
        ("http://jane:p%40ss@p:1", Proxy("http", "p", 1, "jane", "p@ss")),
    ],
)
def test_a_url_names_a_proxy(url: str, proxy: Proxy) -> None:
    assert parse(url, "here") == proxy


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("ftp://jane:s3cret@p", "here: proxies of type ftp are not supported"),
        ("p:3128", "here: proxies of type p are not supported"),
        ("http://jane:s3cret@", "here: the proxy's URL has no host"),
        ("http://jane:s3cret@p:port", "here: not a proxy's URL"),
        ("http://jane:s3cret@[p", "here: not a proxy's URL"),
    ],
)
def test_a_url_that_names_none_is_refused_without_its_password(url: str, message: str) -> None:
    with pytest.raises(UserError) as error:
        parse(url, "here")
    assert message in str(error.value)
    assert "s3cret" not in str(error.value)


# As golang.org/x/net/http/httpproxy's own tests have it: NO_PROXY, the server, whether a proxy is
# used.
NO_PROXY = [
    ("", "https://h", True),
    ("", "https://localhost:6443", False),
    ("", "https://127.0.0.9", False),
    ("", "https://[::1]", False),
    ("*", "https://h", False),
    ("h", "https://h", False),
    ("h", "https://a.h", False),
    ("h", "https://ah", True),
    (".h", "https://a.h", False),
    (".h", "https://h", True),
    ("*.h", "https://a.h", False),
    ("*.h", "https://h", True),
    ("H.Example", "https://h.example", False),
    ("h:6443", "https://h:6443", False),
    ("h:6443", "https://h", True),
    ("h:443", "https://h", False),
    ("10.0.0.1", "https://10.0.0.1:6443", False),
    ("10.0.0.1", "https://10.0.0.2", True),
    ("10.0.0.1:6443", "https://10.0.0.1:6443", False),
    ("10.0.0.0/8", "https://10.9.9.9", False),
    ("10.0.0.0/8", "https://11.0.0.1", True),
    ("10.0.0.0/8", "https://ten", True),
    ("fd00::/8", "https://[fd00::1]:6443", False),
    ("fd00::1", "https://[fd00::1]", False),
    ("[fd00::1]:6443", "https://[fd00::1]:6443", False),
    ("[fd00::1]:6443", "https://[fd00::1]:1", True),
    (" a , h ", "https://h", False),
    (",,a/b,:80", "https://h", True),
]


@pytest.mark.parametrize(("no_proxy", "server", "used"), NO_PROXY)
def test_no_proxy_is_read_as_go_reads_it(no_proxy: str, server: str, used: bool) -> None:
    found = choose(server, {"HTTPS_PROXY": "http://p:1", "NO_PROXY": no_proxy})
    assert found == (Proxy("http", "p", 1) if used else None)


@pytest.mark.parametrize(
    ("environ", "server", "host"),
    [
        ({}, "https://h", ""),
        ({"HTTPS_PROXY": "http://big", "https_proxy": "http://small"}, "https://h", "big"),
        ({"https_proxy": "http://small"}, "https://h", "small"),
        ({"HTTPS_PROXY": "big:3128"}, "https://h", "big"),
        ({"HTTPS_PROXY": "http://big", "HTTP_PROXY": "http://plain"}, "http://h", "plain"),
        ({"HTTPS_PROXY": "http://big"}, "http://h", ""),
        ({"HTTPS_PROXY": "http://big", "no_proxy": "h"}, "https://h", ""),
        ({"HTTPS_PROXY": "http://big"}, "https://[h", ""),
    ],
)
def test_the_environment_names_a_proxy_by_the_servers_scheme(
    environ: dict[str, str], server: str, host: str
) -> None:
    found = choose(server, environ)
    assert (found.host if found else "") == host


def test_a_proxy_in_the_environment_that_is_of_no_use_is_an_error() -> None:
    with pytest.raises(UserError, match="HTTPS_PROXY: proxies of type ftp are not supported"):
        choose("https://h", {"HTTPS_PROXY": "ftp://p"})
