"""What an editor needs in its settings to start coord-lsp."""

from __future__ import annotations

EDITORS = {
    "neovim": """\
-- ~/.config/nvim/init.lua
vim.api.nvim_create_autocmd({ 'BufReadPost', 'BufNewFile' }, {
  callback = function(opened)
    local git = vim.fs.find('.git', { upward = true, path = vim.fs.dirname(opened.file) })[1]
    if git and vim.bo[opened.buf].buftype == '' then
      vim.lsp.start({ name = 'coord', cmd = { 'coord-lsp' }, root_dir = vim.fs.dirname(git) })
    end
  end,
})
""",
    "vscode": """\
// The extension in bridges/lsp/vscode starts coord-lsp by itself, in VS Code and in Cursor:
//   make -C bridges/lsp/vscode && code --install-extension bridges/lsp/vscode/coord.vsix
// settings.json, only if the command is not on PATH or to act by another name:
{
  "coord.command": "coord-lsp",
  "coord.agent": ""
}
""",
    "helix": """\
# ~/.config/helix/languages.toml; add "coord" to the language-servers of each language
[language-server.coord]
command = "coord-lsp"

[[language]]
name = "python"
language-servers = ["pylsp", "coord"]
""",
    "zed": """\
// Zed starts language servers by extensions only: to run `coord-lsp` it takes a few lines of Rust,
// as in https://zed.dev/docs/extensions/languages. Then, in settings.json, for each language:
{
  "languages": { "Python": { "language_servers": ["coord", "..."] } }
}
""",
    "emacs": """\
;; ~/.emacs.d/init.el: eglot has one server for a buffer, so this is for lsp-mode
(with-eval-after-load 'lsp-mode
  (lsp-register-client
   (make-lsp-client :new-connection (lsp-stdio-connection "coord-lsp")
                    :activation-fn (lambda (file _mode) (locate-dominating-file file ".git"))
                    :add-on? t
                    :server-id 'coord)))
(add-hook 'find-file-hook #'lsp-deferred)
""",
}
"""Editor → text for its settings."""
