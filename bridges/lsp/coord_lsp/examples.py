"""Examples of the help of coord-lsp: command → command lines."""

EXAMPLES = {
    "serve": ("coord-lsp serve --as human:ada",),
    "config": ("coord-lsp config neovim",),
}
