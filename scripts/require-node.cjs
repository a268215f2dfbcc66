// Plain JavaScript of long ago, so that the Node that is too old can run it. Every npm script starts here.
var found = process.versions.node.split('.').map(Number);
if (found[0] < 22 || (found[0] === 22 && found[1] < 18)) {
  var script = process.env.npm_lifecycle_event;
  var command = 'restic-manager ' + process.argv.slice(2).join(' ');
  if (script !== undefined && process.argv[1].indexOf('require-node') !== -1) {
    command =
      'npm ci && ' + (script === 'test' || script === 'start' ? 'npm ' : 'npm run ') + script;
  }
  console.error(
    'Node ' +
      process.versions.node +
      ' is too old, 22.18 is needed. Type instead: ' +
      'npx -y -p node-' +
      process.platform +
      '-' +
      process.arch +
      "@22 -c '" +
      command.trim() +
      "'",
  );
  process.exit(1);
}
