"""Trains models: supervised fine-tuning on demonstrations (`sft`), and GRPO in the environments (`grpo`).

Both are driven by recipes (TOML files) and run on TRL. Importing this package loads neither torch nor TRL: only the two
`trainer` modules do, and they are imported when a training starts.
"""
