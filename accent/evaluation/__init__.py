"""Metrics with intervals, audits, comparisons."""
