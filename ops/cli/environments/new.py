"""`keel env new`: the stack file of another environment, for a pull request or a try."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from ops.cli.console import AsJson, print_lines


def new(
    name: Annotated[str, typer.Argument(help="how it is called, such as pr-123")],
    like: Annotated[str, typer.Option("--like", help="environment of kind dev or ci whose settings it gets")],
    as_json: AsJson = False,
) -> None:
    """Write the stack file of the environment NAME: the settings of another one, with a network and ports that nothing else has."""
    from ops.state.copies import new as write
    from ops.state.known import environments

    there = {known.name: known for known in environments()}
    found = there.get(name)
    made = write(name, like, [found.traces] if found and found.traces else [])
    kind, network = made.settings.environment.kind, made.settings.network
    published = network.published.model_dump(exclude_none=True)
    if as_json:
        facts = {"name": name, "kind": kind, "like": like, "network": str(network.cidr), "published": published}
        print(json.dumps({**facts, "stack_file": str(made.path), "left_out": made.left_out}))
        return
    ports = ", ".join(f"{service} {port}" for service, port in published.items())
    print_lines(
        f"{made.path}: kind {kind}, like {like}, network {network.cidr}, on 127.0.0.1 {ports}",
        *(f"not copied: {what}" for what in made.left_out),
        f"Start it: make up ENV={name}. Remove it: make down ENV={name}",
    )
