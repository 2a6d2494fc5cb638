"""Conversations belong to their callers: the history is ours, whichever account answers, here and after a restart."""
