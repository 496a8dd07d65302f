"""Opt-out signals become a compiled policy, and a policy becomes a verdict for a URL."""
