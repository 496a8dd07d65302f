"""The corpus side: opt-out signals become verdicts, verdicts become a rebuilt corpus."""
