"""Sync with a remote. Imports the envelope and the rooms before this one, journal included.

Each store pushes a ref of its own. One shared ref, the arbiter, is moved by compare-and-swap only
and says which claims are confirmed.

The steps that every remote shares:

    settings   which remote a store syncs with
    plan       what a round of a sync does: pure
    exchange   the rounds: plans carried out
    settle     the claims of this store: concessions, drafts of confirmations
    intake     taking in what others have, as bytes of files
    publish    what this store has to give
    layout     the files that are synced
    ask        a sync for a command that waits for the verdict on its claims
    union      two stores on one disk

The steps of a remote of git refs:

    remote     where the refs are, and how git reaches them
    git        git in the store's own repository
    wire       look, fetch, push, compare
    objects    the objects of that repository
    loose      its refs as files
    tree       refs as manifests of files
    held       the files held here, by blob id
    contents   what this store's ref holds
    arbiter    the arbiter as commits
    refs       all of these as the remote that `exchange` drives
    quiet      is there anything to sync?
    upkeep     repair and archive: other plans
"""
