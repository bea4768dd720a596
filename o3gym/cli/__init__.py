"""Command line: one module per command, each with a function that adds its command to the parser."""
