"""The accounts there are, and the turn-taking between them."""
