"""Policies that know their token ids: models in process through transformers or vLLM, or behind vLLM's own server."""
