"""How an interrupted command ends. Imports nothing, so that whoever provides for interrupts can ask before all else."""

from __future__ import annotations

INTERRUPTED = 130
"""Exit code of a command that was interrupted, as shells have it."""

STOPPED = "Stopped. The same command goes on from what is there."
"""What it says."""
