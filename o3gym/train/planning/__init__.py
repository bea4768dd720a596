"""Training of visual planners: on random walks, on optimal paths, on plans in words, and by rewards (VPRL)."""
