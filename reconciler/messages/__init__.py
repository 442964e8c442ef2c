"""SCIM on the wire, pure: what planner, scim and applier all speak."""
