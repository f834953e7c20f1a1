"""Where it all runs."""
