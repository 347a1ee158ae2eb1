"""Reports of a run: progress in the terminal, artifacts in the Prefect UI, and what it delivered."""
