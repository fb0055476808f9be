"""Finished runs for people and programs: loading, export, taste files, rating."""
