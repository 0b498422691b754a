"""The quick tests on every supported Python: `nox`, or `nox -s tests-3.13 -- -k nms`."""

import nox

nox.options.error_on_missing_interpreters = False


@nox.session(python=["3.11", "3.12", "3.13"])
def tests(session: nox.Session) -> None:
    """Install the project with everything its tests need, and run them."""
    session.install("-c", "constraints.txt", "-e", ".[dev]")
    session.run("python", "-m", "pytest", *session.posargs)
