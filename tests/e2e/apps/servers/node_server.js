// node_server.js ADDRESS PORT DIRECTORY [WORKERS]: files of DIRECTORY, POST /echo answers with the body; with WORKERS as a cluster.
'use strict';
const cluster = require('cluster'), fs = require('fs'), http = require('http'), path = require('path');
const [address, port, directory, workers] = process.argv.slice(2);

function answer(request, response) {
	if (request.method === 'POST' && request.url === '/echo') {
		response.writeHead(200, {'X-Worker': process.pid});
		request.pipe(response);
		return;
	}
	if (request.url === '/pid') {
		response.end(String(process.pid));
		return;
	}
	fs.createReadStream(path.join(directory, path.basename(request.url)))
		.on('error', () => { response.statusCode = 404; response.end(); })
		.pipe(response);
}

if (workers && cluster.isPrimary) {
	for (let i = 0; i < Number(workers); i++)
		cluster.fork();
	let listening = 0;
	cluster.on('listening', () => { if (++listening === Number(workers)) console.log('all listen'); });
	process.on('SIGTERM', () => { for (const id in cluster.workers) cluster.workers[id].kill(); process.exit(0); });
} else {
	http.createServer(answer).listen(Number(port), address, 1024, () => console.log('listening'));
}
