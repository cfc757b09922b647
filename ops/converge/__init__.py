"""Carrying out the roles on the hosts."""
