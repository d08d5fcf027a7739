"""The PortForward kind's controller: makes a Relay of each, and mirrors it."""
