"""The shop's own code, as its repository has it at each release.

Whole trees, so that each can be run, checked and compared: `diff -ru v1_1_0 v1_2_0` is what the faulty
release brings. `history.py` says in which branches and commits the team made them.
"""
