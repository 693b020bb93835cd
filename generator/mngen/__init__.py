"""mngen: one YAML file into a multi-node MPI cluster on AWS Batch.

The library and the command line are equals: whatever a command does is one call away. Nothing
heavy is imported here; import the package that you need, such as `mngen.spec` or `mngen.render`.
"""

from mngen._version import __version__

__all__ = ["__version__"]
