// Written in ES5, so that an outdated Node can run it. Every npm script runs this first. Scripts that take arguments
// preload it (`node -r`), so that the message can repeat the arguments.
var fs = require('fs');
var path = require('path');

var found = process.versions.node.split('.').map(Number);
var isSupported = (found[0] === 22 && found[1] >= 18) || found[0] === 24 || found[0] >= 26;
var root = path.join(__dirname, '..');
// The published package has no sources.
var isCheckout = fs.existsSync(path.join(root, 'src'));

if (!isSupported) {
  console.error(
    'Node ' +
      process.versions.node +
      ' is not supported; use Node 22 (22.18 or later), 24 or 26. Run instead: ' +
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
if (isCheckout && !fs.existsSync(path.join(root, 'node_modules'))) {
  console.error('The dependencies are not installed. Run this in ' + root + ': npm ci');
  process.exit(1);
}

function commandToRepeat() {
  var main = process.argv[1] || '';
  var args = process.argv.slice(2).map(function (argument) {
    return /^[\w@%+=:,./-]+$/.test(argument) ? argument : JSON.stringify(argument);
  });
  var script = process.env.npm_lifecycle_event;
  if (script === undefined || !/require-node\.cjs$|src.cli\.ts$/.test(main)) {
    if (!isCheckout || !/restic-manager(\.mjs)?$/.test(main)) {
      return ['restic-manager'].concat(args).join(' ');
    }
    return ['cd ' + root + ' && npm ci && npm run --silent cli --'].concat(args).join(' ');
  }
  // package.json passes the first argument itself: `serve` or `demo`.
  if (script === 'start' || script === 'demo') args.shift();
  var command = script === 'start' || script === 'test' ? 'npm ' : 'npm run --silent ';
  return 'npm ci && ' + command + script + (args.length > 0 ? ' -- ' + args.join(' ') : '');
}
