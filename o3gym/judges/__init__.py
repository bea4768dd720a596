"""Judges: whether an answer is right. Rules work offline; a model decides where rules cannot."""
