"""Write `environment/server_parameters/<major>.csv`, what servers of that major say of their parameters.

python -m tools.server_parameters [MAJOR …]
"""

import csv
import sys

from environment.server_parameters import FOLDER, Parameter
from tools.scratch_images import MAJORS
from tools.scratch_server import Server, running

QUERY = """
    select lower(name), vartype, context, coalesce(unit, ''), coalesce(min_val, ''), coalesce(max_val, ''),
           coalesce(array_to_string(enumvals, '|'), ''), coalesce(boot_val, '')
    from pg_settings where name not like '%.%' order by 1
"""
"""Of the server itself: what belongs to an extension is there only where the extension is loaded."""


def read(server: Server) -> list[Parameter]:
    """What a running server says."""
    return [Parameter(*row) for row in server.execute(QUERY)]


def main(majors: list[int]) -> None:
    """Start a server of each major, ask, write."""
    for major in majors:
        with running(major) as server, (FOLDER / f"{major}.csv").open("w", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(Parameter._fields)
            writer.writerows(read(server))


if __name__ == "__main__":
    main([int(argument) for argument in sys.argv[1:]] or list(MAJORS))
