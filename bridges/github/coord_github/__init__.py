"""GitHub: issues are work items, pull requests and checks are events."""
