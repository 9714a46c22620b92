"""Options, progress, interrupts, and how a run ends."""
