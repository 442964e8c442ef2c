"""Carries out a plan: sends chunks, judges conflicts, proves the result."""
