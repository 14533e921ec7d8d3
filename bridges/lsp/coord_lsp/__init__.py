"""coord-lsp - a language server: who holds the file one is about to change, and what wk-… means.

`cli` starts it, `server` speaks the protocol, `desk` says what is shown, pure, and `tools` runs the
commands. `config` prints what editors need to start it.
"""
