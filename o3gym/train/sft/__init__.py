"""Supervised fine-tuning on demonstrations, stage by stage, with TRL's SFTTrainer."""
