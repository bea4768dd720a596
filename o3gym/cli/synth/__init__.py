"""`o3gym synth`: makes tasks from pictures and from the tasks of other suites."""
