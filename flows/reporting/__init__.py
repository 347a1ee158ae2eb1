"""What a run says of itself: progress in the terminal, artifacts in the Prefect UI, and what it delivered."""
