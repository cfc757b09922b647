"""Backups, and every way back from one."""
