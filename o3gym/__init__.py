"""o3gym: visual search as Gymnasium environments."""

__version__ = "0.1.0"
