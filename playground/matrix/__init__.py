"""The matrix: one prompt or task, asked in many languages of many models; run, scored, reported."""
