"""What CXone has beside SCIM: licence quotas; later their release and the operations log."""
