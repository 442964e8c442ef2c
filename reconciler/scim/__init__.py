"""Talking to a SCIM service."""
