"""coord - one command to find, see, check and set up the rest."""
