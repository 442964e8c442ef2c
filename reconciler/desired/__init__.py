"""The git side; the only home of yaml."""
