// Plain JavaScript of long ago, so that the Node that is too old can run it. Every npm script starts here.
var found = process.versions.node.split('.').map(Number);
var tooOld = found[0] < 22 || (found[0] === 22 && found[1] < 18);
if (tooOld) {
  var script = process.env.npm_lifecycle_event;
  var command =
    script === undefined
      ? 'restic-manager'
      : script === 'test' || script === 'start'
        ? 'npm ' + script
        : 'npm run ' + script;
  var platform = process.platform + '-' + process.arch;
  console.error(
    'Node ' +
      process.versions.node +
      ' is too old, 22.18 is needed. Type instead: npx -y -p node-' +
      platform +
      "@22 -c 'npm ci && " +
      command +
      "'",
  );
  process.exit(1);
}
