"""Prefect itself as processes: server and worker of a store, runs without a server, the plugin of its command line, its block."""
