"""Which fields are secrets, and where they are in a text or in bytes; pure.

Decoders say where secrets are (``Span``s, overwritten in raw bytes by ``session``) and put
``REDACTED`` into events. ``Scrubber`` is for bytes that no decoder understands (any more): it
masks what looks like a secret header, however the bytes are cut.
"""

from __future__ import annotations

import re

REDACTED = "[redacted]"
FILLER = 0x2A

SECRET_FIELDS = frozenset(
    (
        "authorization",
        "proxy-authorization",
        "authentication-info",
        "proxy-authentication-info",
        "cookie",
        "set-cookie",
        "x-registry-auth",
        "x-registry-config",
        "x-api-key",
        "api-key",
        "apikey",
        "x-api-token",
        "x-auth-token",
        "x-auth-key",
        "x-access-token",
        "x-csrf-token",
        "x-xsrf-token",
        "x-goog-api-key",
        "x-amz-security-token",
        "x-vault-token",
        "x-consul-token",
        "x-gitlab-token",
        "x-github-token",
        "private-token",
        "job-token",
        "x-session-token",
        "x-shared-secret",
        "x-secret",
        "x-ms-authorization-auxiliary",
        "x-forwarded-access-token",
        "x-forwarded-client-cert",
        "sec-websocket-protocol-token",
    )
)
"""Names, in lower case, of HTTP fields whose whole value is redacted."""

SECRET_PARAMETERS = (
    "access_token|id_token|refresh_token|auth_token|session_token|token|api[_-]?key|password|passwd"
    "|client_secret|secret|client_assertion|sig|signature|x-amz-signature|x-amz-security-token"
    "|x-amz-credential|x-goog-signature"
)
"""Names of query parameters whose value is redacted, as a regular expression."""
