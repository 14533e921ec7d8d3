"""Jobs of `run` in a Sprite: see `there` for what runs there, `here` for what runs here."""
