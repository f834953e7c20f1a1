"""Histories as teams make them, built by plain git, and what taking a release out of each must give."""
