"""Attempts at each wall of an environment, from inside its own hosts: `./keel verify --attack`. They change nothing."""
