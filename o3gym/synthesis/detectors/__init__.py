"""Layout detectors, which find the blocks of a picture: text, tables, charts, titles."""
