"""Git plumbing: the revision the desired state comes from. The chain of attempts and receipts will live here."""
