import { createMetrics } from '../../src/index.ts';
import { uws } from '../../src/platform/uws.ts';

/* A control plane of somebody else, with our metrics on its app. It prints its port. */
const app = uws().App();
createMetrics({ gates: { token: 'secret' } }).mount(app);
app.get('/own', (res) => void res.end('own'));
app.listen('127.0.0.1', 0, (socket) => {
  if (socket === false) throw new Error('cannot listen');
  process.stdout.write(`${uws().us_socket_local_port(socket)}\n`);
});
