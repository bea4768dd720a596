"""Policies, which generate the replies of agents."""
