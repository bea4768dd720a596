"""Tools: what an agent can do. One file per tool."""
