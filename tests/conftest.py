"""Fixtures that several test files use."""

import os

# Before Gradio is imported: the tests ask nothing of the outside.
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")

from tests.pages import browser, context, puppet, served, visitor  # noqa: F401
from tests.real_server import real_server  # noqa: F401
from tests.stub import stub  # noqa: F401
