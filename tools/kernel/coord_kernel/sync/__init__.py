"""Sync through git: each store pushes a ref of its own, and one shared ref, by compare-and-swap, says who holds what.

settings   which remote, and how git is to reach it
git        git in the store's own repository, and the objects there
tree       what a ref holds, and how one is written
intake     taking in what others have
publish    what this store gives
arbiter    the shared ref
quiet      is there anything to do?
exchange   the steps of one sync
ask        a sync that a claim waits for
"""
