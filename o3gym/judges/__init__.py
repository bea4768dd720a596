"""Judges decide whether an answer is right: rules work offline, and a model decides where rules cannot."""
