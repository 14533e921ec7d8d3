"""wk - work items: find, claim, do and close them."""
