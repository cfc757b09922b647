"""Newer versions of Debian's packages come to hosts that run, one host at a time."""
