"""SPDY/3.1 as moby/spdystream speaks it: frames, header blocks, the connection."""
