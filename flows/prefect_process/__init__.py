"""Prefect itself as processes: server and worker of a store, the temporary server of a run, the plugin of its command line, its block."""
