"""A line of the log for each answer that has ended."""

import logging
from dataclasses import asdict

from .in_flight import AnswerReport

LOGGER = logging.getLogger("phi.answers")


def log_answer(report: AnswerReport) -> None:
    """Log an answer's end; the handlers of `LOGGER` write its `fields`."""
    fields = {
        name: round(value, 4) if isinstance(value, float) else value
        for name, value in asdict(report).items()
    }
    LOGGER.info("answer", extra={"fields": fields})
