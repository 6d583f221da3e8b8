"""Image intake: from a path, http(s) URL or data URL to an upright RGB picture, within limits."""

from hybrid_search.catalog.images.intake import ImageIntake
from hybrid_search.catalog.images.limits import ImageLimits
from hybrid_search.catalog.images.reasons import REASONS

__all__ = ["REASONS", "ImageIntake", "ImageLimits"]
