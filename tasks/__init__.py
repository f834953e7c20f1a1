"""The hands: one module per system that is touched."""
