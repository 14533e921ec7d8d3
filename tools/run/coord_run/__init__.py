"""run - jobs: not there yet."""
