"""One file a kind: spec, status, defaults, rules, columns."""
