import { readFileSync,readdirSync } from 'node:fs';
import { Cluster } from './cluster.ts';
for (const s of ['SIGINT','SIGTERM'] as const) process.on(s,()=>process.exit(1));
const t=performance.now();
setTimeout(()=>{ for (const d of readdirSync('/tmp')) if (d.startsWith('restic-manager-failover')) { console.log(readFileSync('/tmp/'+d+'/a/patroni.log','utf8').slice(0,6000)); try{for (const f of readdirSync('/tmp/'+d+'/a/log')) console.log(readFileSync('/tmp/'+d+'/a/log/'+f,'utf8'))}catch{}} process.exit(1)}, 15000).unref();
const c=await Cluster.start(false);
console.log(c.url, performance.now()-t, (await c.untilRedundant()).synchronous.name);
console.log(await c.query(await c.requirePrimary(),"show synchronous_standby_names"));
process.exit(0);
