"""How the tiny model that comes with o3gym is made: its vocabulary, its architecture, and its training dialogues."""
