"""What folds make of the events, kept in SQLite and disposable at any time.

Imports the envelope and the rooms above: `rules`, `store`, `streams`.

    fill        the one loop that reads streams into a database
    database    a file that is brought up to date, rebuilt, or read past in memory
    index       events by id and by idempotency key
    shown       what is derived from events, without those that were redacted
    view        the entities of a fold; shards: by several processes
    past        the same at an earlier time
    entities    the entities at one moment, those made with one key as one
    resolve     ids from what a person types
    text        full-text search: entities by the words of their events

There is one file for each fold and one for the index (index, work, mail, run, claims, gitleases,
leases), and one for the texts of a fold (work-text, mail-text), made when first asked for. All are
rebuilt after a reboot, so what counts is the first command after it. With 200,000 events one file
costs 10 to 28 µs an event, all of them together 110, and a command asks one or two: in one file
each command would pay for all folds, and wait for the one lock of all writers. To open one more
file costs 2 ms, once a process.
"""
