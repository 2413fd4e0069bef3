"""What can be wrong with a model, by what the caller will do."""

from __future__ import annotations


class ModelPackageError(Exception):
    """Don't use this package. The message names the file, the field and the reason."""


class ModelRunError(Exception):
    """This picture gave no result; the next one may. The message names the package and the reason."""


class ModelTimeoutError(ModelRunError):
    """The run was stopped at its time limit; the session stays usable."""
