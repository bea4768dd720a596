"""What supervised training learns from: demonstrations, where they come from, and how they are stored."""
