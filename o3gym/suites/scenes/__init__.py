"""The seeded scenes of the synthetic suite: one module per family, and shared drawing code."""
