"""Git plumbing: the chain of attempts and receipts of each tenant, and the desired state of earlier commits."""
