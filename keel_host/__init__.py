"""Keel's programs on the hosts, and the code that they share with the controller.

The role `programs` copies this package to the hosts. It imports the standard library, psycopg and prometheus_client
(`python3-psycopg`, `python3-prometheus-client`), and nothing else of Keel; every other package may import it. It runs on
Python 3.11 and newer. What differs between environments is not in here but in the settings files: see `config`.
"""
