"""The commands of `./keel env` that are about environments: new, list, remove."""
