"""HttpClient against a real API server of ours, over TLS."""

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ferryman.access.kubeconfig import load
from ferryman.api.client import ObjectClient
from ferryman.apiclient.http_client import HttpClient
from tests.support.apiserver import serving
from tests.support.object_client import SCHEME, ObjectClientConformance, new_store


class TestHttpClient(ObjectClientConformance):
    @pytest.fixture
    async def client(self, tmp_path: Path) -> AsyncIterator[ObjectClient]:
        async with serving(tmp_path, scheme=SCHEME, store=new_store()) as api:
            access = load(str(api.kubeconfig(tmp_path)), None, os.environ)
            async with HttpClient(access) as client:
                yield client
