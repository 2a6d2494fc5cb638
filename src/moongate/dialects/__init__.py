"""Languages: how requests and replies are spelled. No hosts, no accounts, no I/O."""
