"""Celery around ``hybrid_search.indexing``: an app from settings, thin tasks, the worker's start."""
