"""The trace of a wire: every frame both ways, and nothing that is secret."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from ferryman.protocols.channels import ChannelsClient
from ferryman.protocols.multiplex import ClientWire
from ferryman.protocols.portforward import PortForwardClient, PortForwardServer
from ferryman.protocols.spdy import frames
from ferryman.protocols.websocket import Tunnel

SECRET = b"Bearer s3cr3t"


def pair(tunnelled: bool) -> tuple[PortForwardClient, PortForwardServer]:
    if tunnelled:
        return PortForwardClient(Tunnel(client=True)), PortForwardServer(Tunnel(client=False))
    return PortForwardClient(), PortForwardServer()


def across(sender: ClientWire | PortForwardServer, receiver: object) -> None:
    for buffer in sender.data_to_send():
        receiver.receive(buffer)  # type: ignore[attr-defined]  # either end


@pytest.mark.parametrize("tunnelled", [False, True], ids=["spdy", "tunnel"])
def test_every_frame_of_a_connection_is_told_and_payloads_by_length(tunnelled: bool) -> None:
    client, server = pair(tunnelled)
    told: list[str] = []
    client.trace = told.append
    number = client.open(8000)
    client.send(number, SECRET)
    across(client, server)
    server.send(1, SECRET * 2)
    server.fail(1, "refused")
    across(server, client)
    client.ping()
    client.close()
    assert told == [
        "> SYN_STREAM 1 streamtype=error port=8000 requestid=1",
        "> DATA 1: FIN",
        "> SYN_STREAM 3 streamtype=data port=8000 requestid=1",
        "> DATA 3: 13 bytes",
        "< SYN_REPLY 1",
        "< SYN_REPLY 3",
        "< DATA 3: 26 bytes",
        "< DATA 3: 0 bytes, FIN",
        "< DATA 1: 7 bytes",
        "< RST_STREAM 1: status 5",
        "> RST_STREAM 3: status 5",
        "> PING 1",
        "> GOAWAY: last stream 0, status 0",
    ]


def test_v4_channels_are_told_by_message() -> None:
    client = ChannelsClient(8000)
    told: list[str] = []
    client.trace = told.append
    client.send(client.open(8000), SECRET)
    assert told == ["> channel 0: 13 bytes"]


FRAMES: Mapping[str, frames.Frame] = {
    "SYN_STREAM 1, FIN": frames.SynStream(1, b"x", frames.FIN),
    "HEADERS 3": frames.Headers(3, b"x"),
    "SETTINGS: 7=65536": frames.Settings(((0, 7, 65536),)),
    "WINDOW_UPDATE 5: 9 bytes": frames.WindowUpdate(5, 9),
    "DATA 1: 3 bytes, more of it to come": frames.DataChunk(1, memoryview(b"abc"), False, False),
}


@pytest.mark.parametrize("text", FRAMES)
def test_a_frame_is_described_by_its_name_and_ids(text: str) -> None:
    assert frames.describe(FRAMES[text]) == text
