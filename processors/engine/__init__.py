"""Engines that run the work: threads of this process, processes of this machine, or any Dask scheduler; one interface, same bytes.

Nothing else here starts processes for work on pixels or talks to Dask. Imports `catalog` only.
"""
