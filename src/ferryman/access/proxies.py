"""Which proxy leads to a cluster: the kubeconfig's ``proxy-url``, else the environment's; pure.

``kubeconfig`` asks here; ``protocols.proxy`` speaks to what comes out. The environment's rules are
Go's, which kubectl has: ``HTTPS_PROXY`` (``HTTP_PROXY`` for plain http) unless ``NO_PROXY`` names
the host, and never for this machine. Source: golang.org/x/net/http/httpproxy.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from urllib.parse import unquote, urlsplit

from ferryman.errors import UserError
from ferryman.protocols.proxy import Proxy, Scheme

_SCHEMES: Mapping[str, tuple[Scheme, int]] = {
    "http": ("http", 80),
    "https": ("https", 443),
    "socks5": ("socks5", 1080),
    "socks5h": ("socks5", 1080),  # curl's word for: the proxy looks names up. It always does here
}
_PORTS = {"http": 80, "https": 443}


def parse(url: str, where: str) -> Proxy:
    """The proxy that a URL names; raises UserError, which says ``where`` it was found.

    No message quotes the URL: it may hold a password.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise UserError(f"{where}: not a proxy's URL") from None
    if parts.scheme not in _SCHEMES:
        raise UserError(
            f"{where}: proxies of type {parts.scheme or '(none)'} are not supported",
            f"supported are {', '.join(f'{scheme}://' for scheme in _SCHEMES)}",
        )
    if not host:
        raise UserError(f"{where}: the proxy's URL has no host")
    scheme, usual = _SCHEMES[parts.scheme]
    name, password = unquote(parts.username or ""), unquote(parts.password or "")
    return Proxy(scheme, host, port or usual, name, password)


def choose(server: str, environ: Mapping[str, str]) -> Proxy | None:
    """The proxy that the environment names for a server's URL; None if there is none.

    Raises UserError for one that is of no use.
    """
    try:
        target = urlsplit(server)
        host, port = target.hostname or "", target.port or _PORTS.get(target.scheme, 0)
    except ValueError:
        return None  # whoever dials it says so
    name = f"{target.scheme.upper()}_PROXY"
    url = environ.get(name) or environ.get(name.lower()) or ""
    if not url or not _is_proxied(host, port, _no_proxy(environ)):
        return None
    return parse(url if "://" in url else f"http://{url}", name)


def _no_proxy(environ: Mapping[str, str]) -> list[str]:
    text = environ.get("NO_PROXY") or environ.get("no_proxy") or ""
    return [rule for part in text.split(",") if (rule := part.strip().lower())]


def _is_proxied(host: str, port: int, rules: list[str]) -> bool:
    address = _address(host)
    if host == "localhost" or (address is not None and address.is_loopback):
        return False
    return not any(_matches(rule, host, port, address) for rule in rules)


_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def _matches(rule: str, host: str, port: int, address: _Address | None) -> bool:
    """``*``, a network, or an address or a domain (``.x`` is x's subdomains), perhaps ``:port``."""
    if rule == "*":
        return True
    if "/" in rule:
        try:
            return address is not None and address in ipaddress.ip_network(rule, strict=False)
        except ValueError:
            return False
    name = rule
    if _address(rule) is None and ":" in rule:
        name, _, wanted = rule.rpartition(":")
        if wanted != str(port):
            return False
    name = name.removeprefix("[").removesuffix("]")
    named = _address(name)
    if named is not None:
        return named == address
    name = name.removeprefix("*")
    if name.startswith("."):
        return host.endswith(name)
    return bool(name) and (host == name or host.endswith(f".{name}"))


def _address(text: str) -> _Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None
