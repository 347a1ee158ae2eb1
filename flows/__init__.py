"""The order in which things happen: Prefect flows and tasks, requests, settings. Knows all rooms."""
