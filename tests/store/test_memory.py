from __future__ import annotations

import pytest

from ferryman.api.client import ObjectClient
from tests.support.object_client import ObjectClientConformance, new_store


class TestMemoryStore(ObjectClientConformance):
    @pytest.fixture
    async def client(self) -> ObjectClient:
        return new_store()
