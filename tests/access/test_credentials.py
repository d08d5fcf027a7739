from pathlib import Path

import pytest

from ferryman.access.credentials import TokenFile
from ferryman.errors import Unavailable
from ferryman.runtime.clock import ManualClock


async def test_a_token_file_is_read_again_after_a_minute_or_a_refusal(tmp_path: Path) -> None:
    file, clock = tmp_path / "token", ManualClock()
    file.write_text("one")
    credentials = TokenFile(str(file), clock=clock)
    assert await credentials.headers() == (("authorization", "Bearer one"),)
    file.write_text("two")
    await clock.advance(59)
    assert await credentials.headers() == (("authorization", "Bearer one"),)
    await clock.advance(1)
    assert await credentials.headers() == (("authorization", "Bearer two"),)
    file.write_text("three")
    assert await credentials.headers(refresh=True) == (("authorization", "Bearer three"),)


async def test_while_a_token_file_is_away_the_last_token_is_used(tmp_path: Path) -> None:
    file = tmp_path / "token"
    credentials = TokenFile(str(file))
    with pytest.raises(Unavailable, match="cannot read the token file"):
        await credentials.headers()
    file.write_text(" \n")
    with pytest.raises(Unavailable, match="is empty"):
        await credentials.headers()
    file.write_text("one")
    await credentials.headers()
    file.unlink()
    assert await credentials.headers(refresh=True) == (("authorization", "Bearer one"),)
