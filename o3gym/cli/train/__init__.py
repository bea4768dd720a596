"""`o3gym train`: supervised and reinforcement training by recipes, and the export of demonstrations."""
