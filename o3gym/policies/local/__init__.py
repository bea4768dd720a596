"""Models whose token ids we see: in this process through transformers or vLLM, or behind vLLM's own server."""
