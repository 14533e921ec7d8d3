"""Work that towns share: offers, submissions, and stamps that one can check."""
