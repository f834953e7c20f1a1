"""Catalogue, cart, checkout."""
