"""coord-cron - emit an event whenever a time of a schedule comes."""
