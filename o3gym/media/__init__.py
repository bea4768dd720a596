"""Pictures: where pixels come from, how they are cached, and how a search is drawn."""
