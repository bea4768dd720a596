"""Stored runs, and their evaluation: metrics, reports, comparisons, the HTML page, and exports to other harnesses."""
