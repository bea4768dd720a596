"""How a collage is laid out (`placement`) and drawn (`drawing`)."""
