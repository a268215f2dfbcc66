// Written in ES5, so that an outdated Node can run it. Every npm script runs this first. Scripts that take arguments
// preload it (`node -r`), so that the message can repeat the arguments.
var found = process.versions.node.split('.').map(Number);
if (found[0] < 22 || (found[0] === 22 && found[1] < 18)) {
  console.error(
    'Node ' +
      process.versions.node +
      ' is too old, 22.18 or later is required. Run instead: ' +
      'npx -y -p node-' +
      process.platform +
      '-' +
      process.arch +
      "@22 -c '" +
      commandToRepeat() +
      "'",
  );
  process.exit(1);
}

function commandToRepeat() {
  var main = process.argv[1] || '';
  var args = process.argv.slice(2).map(function (argument) {
    return /^[\w@%+=:,./-]+$/.test(argument) ? argument : JSON.stringify(argument);
  });
  var script = process.env.npm_lifecycle_event;
  var ofThisPackage = /require-node\.cjs$|src.cli\.ts$/.test(main);
  if (script === undefined || !ofThisPackage) return ['restic-manager'].concat(args).join(' ');
  // package.json passes the first argument itself: `serve` or `demo`.
  if (script === 'start' || script === 'demo') args.shift();
  var command = script === 'start' || script === 'test' ? 'npm ' : 'npm run --silent ';
  return 'npm ci && ' + command + script + (args.length > 0 ? ' -- ' + args.join(' ') : '');
}
