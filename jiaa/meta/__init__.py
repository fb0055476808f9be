"""Meta-learning over users: inner loops, outer updates, and the user axis."""
