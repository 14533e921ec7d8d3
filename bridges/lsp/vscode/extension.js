// Starts coord-lsp for the files of a workspace; it does the rest.
const { workspace } = require('vscode');
const { LanguageClient } = require('vscode-languageclient/node');

let client;

exports.activate = () => {
  const settings = workspace.getConfiguration('coord');
  const agent = settings.get('agent');
  const run = { command: settings.get('command'), args: ['serve', ...(agent ? ['--as', agent] : [])] };
  client = new LanguageClient('coord', 'coord', run, { documentSelector: [{ scheme: 'file' }] });
  return client.start();
};

exports.deactivate = () => client?.stop();
