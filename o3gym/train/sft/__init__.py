"""Supervised fine-tuning: rows and batches of demonstrations, and TRL's SFTTrainer on them."""
