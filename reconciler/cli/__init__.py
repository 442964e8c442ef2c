"""click commands; the composition root; exit codes (SPEC section 5)."""
