"""Layout detectors: which blocks (text, tables, charts, titles) a picture is made of."""
