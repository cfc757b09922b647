"""`make campaign`: many rounds of what `make test` does once. Interrupted, it goes on where it was; a failed round is kept.

python -m tests.campaign [--rounds 10] [--seed 1] [SCENARIO…]
"""

from __future__ import annotations

import json
import random
import traceback
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from tests.campaign import backups, losses
from tests.campaign.upgrade import upgrade
from tests.system.environments import Ephemeral, discard, prepare
from tools import evidence

SCENARIOS = {"upgrade": upgrade, **backups.SCENARIOS, **losses.SCENARIOS}
"""The first has an environment of its own."""

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    scenarios: Annotated[
        list[str] | None, typer.Argument(help=f"{', '.join(SCENARIOS)}; all when none is named")
    ] = None,
    rounds: Annotated[int, typer.Option(min=1, help="rounds of each scenario")] = 10,
    seed: Annotated[int, typer.Option(help="what chance begins with")] = 1,
) -> None:
    """Exit status 1 when a round failed."""
    chosen = scenarios or list(SCENARIOS)
    if unknown := set(chosen) - set(SCENARIOS):
        raise typer.BadParameter(f"no scenario {', '.join(sorted(unknown))}; there are {', '.join(SCENARIOS)}")
    # One file per commit: rounds of different programs do not mix.
    kept = "losses" if set(chosen) <= set(losses.SCENARIOS) else "backups"
    path = evidence.FOLDER / f"campaign-{kept}-{evidence.commit()}.json"
    command = f"python -m tests.campaign --rounds {rounds} --seed {seed} {' '.join(scenarios or [])}".rstrip()
    results = json.loads(path.read_text()) if path.exists() else evidence.circumstances(command) | {"rounds": []}
    done = {(entry["scenario"], entry["round"], entry["seed"]) for entry in results["rounds"]}
    environment: Ephemeral | None = None
    try:
        for number in range(1, rounds + 1):
            for scenario in chosen:
                if (scenario, number, seed) in done:
                    continue
                environment = environment or prepare("dev")
                entry = play(environment, scenario, number, seed)
                print(json.dumps(entry), flush=True)
                results["rounds"].append(entry)
                evidence.keep(path, results)
                if entry["result"] != "passed":
                    discard(environment)
                    environment = None
    finally:
        if environment:
            discard(environment)
    failed = [entry for entry in results["rounds"] if entry["result"] != "passed"]
    raise typer.Exit(1 if failed else 0)


def play(environment: Ephemeral, scenario: str, number: int, seed: int) -> dict[str, Any]:
    """One round, with chances of its own, so that it can be played again alone."""
    print(f"{scenario}, round {number}, seed {seed}: {environment.name}", flush=True)
    entry: dict[str, Any] = {
        "scenario": scenario,
        "round": number,
        "seed": seed,
        "began": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    try:
        figures = SCENARIOS[scenario](environment, random.Random(f"{scenario} {number} {seed}"))
    except Exception as error:
        traceback.print_exc()
        return {**entry, "result": "failed", "error": str(error)[-2000:]}
    return {**entry, "result": "passed", **figures}


if __name__ == "__main__":
    app()
