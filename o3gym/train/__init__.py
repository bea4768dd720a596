"""Training: supervised fine-tuning on demonstrations. Nothing here imports torch before a training starts."""
