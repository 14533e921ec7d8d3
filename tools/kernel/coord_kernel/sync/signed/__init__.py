"""Signed writers: statements are made, verified, and matched with bytes. Only where they are used.

keygen   ssh-keygen, which signs and verifies
agreed   the allowed_signers file that the user agreed to
sign     what this store has written and not signed yet
judge    whose statements are good, and which events they cover
copies   the bytes of a file, in whichever stream they are kept here
"""
