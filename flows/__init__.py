"""The order in which things happen: Prefect flows and tasks, requests, artifacts, settings, the command line."""
