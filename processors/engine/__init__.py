"""Where work runs: this process, processes of this machine, or any Dask scheduler. One interface, same bytes.

Nothing else here starts processes for work on pixels or talks to Dask. Imports `catalog` only.
"""

from processors.engine.choice import open_engine
from processors.engine.machine import cores, gpus
from processors.engine.protocol import Engine, TaskKilledError
from processors.engine.words import is_wanted, report

__all__ = ["Engine", "TaskKilledError", "cores", "gpus", "is_wanted", "open_engine", "report"]
