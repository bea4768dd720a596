"""A visual planner, which draws the next state, and its picture tokenizer."""
