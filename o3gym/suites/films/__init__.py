"""Families of generated films for the suite `synthetic_video`, one file each."""
