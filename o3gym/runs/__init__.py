"""A stored run and what is made of it: metrics, reports, comparisons, the viewer's page and other harnesses' files."""
