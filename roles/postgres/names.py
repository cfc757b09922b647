"""Logins that Patroni itself makes and uses; their passwords derive from the access root under these names."""

REPLICATION = "keel_replication"
REWIND = "keel_rewind"
