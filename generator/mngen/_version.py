"""The version of mngen, read by the build and written into every rendered file."""

__version__ = "0.1.0"
