"""Joining a shop's own index: reading what it holds, following it, never changing what is theirs."""
