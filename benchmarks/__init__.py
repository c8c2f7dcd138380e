"""Speed and memory, measured: one command each, printing ratios taken in one run."""
