"""Families of contextual distributions, one file each; every member states what is known of it."""
