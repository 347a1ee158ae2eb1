"""Prefect flows and tasks, requests and settings: the order in which things happen. May import every other folder."""
