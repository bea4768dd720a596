"""How the model on board is made: its words, its architecture, and what it learns from."""
