"""The seeded scenes of the synthetic suite: one module per family, and the drawing that they share."""
