"""Is the influence estimate wrong, or the validation procedure?"""

__version__ = "0.1.0"
