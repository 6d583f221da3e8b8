"""Hybrid cross-modal product search. Import from the submodules; this package imports none of them."""

__version__ = "0.1.0"
