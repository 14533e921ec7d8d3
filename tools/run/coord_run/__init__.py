"""run - jobs: request, run, follow, cancel."""
