"""Tools: the actions of an agent, one file each."""
