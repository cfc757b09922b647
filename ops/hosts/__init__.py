"""Reaching an environment's hosts: sessions over SSH, tunnels, the lock, Docker."""
