"""The flows' own code, walked without an engine in a process that dies after one of its effects."""
