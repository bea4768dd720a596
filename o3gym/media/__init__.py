"""Pictures: decoding and caching of pixels, and rendering of episodes."""
