"""Collages: placement of tiles (`placement`), tasks (`composing`), drawing (`drawing`) and statistics (`tally`)."""
