"""Name this distribution and its installed version."""

from __future__ import annotations

DISTRIBUTION = "yolo3-keras"


def project_version() -> str:
    """Return the installed version; `(not installed)` when run from a checkout."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(DISTRIBUTION)
    except PackageNotFoundError:
        return "(not installed)"
