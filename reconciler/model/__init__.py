"""Frozen dataclasses and enums: the words of the field, with no behaviour beyond questions about themselves."""
