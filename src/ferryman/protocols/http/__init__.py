"""HTTP/1.1: requests with streamed bodies, upgrades, and a tracker that only counts."""
