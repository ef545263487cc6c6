// node_client.js ADDRESS PORT FILE CONNECTIONS: on kept connections GET /100000 (FILE) and POST /echo of a body of random bytes, compared.
'use strict';
const crypto = require('crypto'), fs = require('fs'), http = require('http');
const [address, port, file, connections] = process.argv.slice(2);
const agent = new http.Agent({keepAlive: true, maxSockets: Number(connections)});
const wanted = fs.readFileSync(file);

function ask(method, path, body) {
	return new Promise((resolve, reject) => {
		const request = http.request({host: address, port, method, path, agent}, response => {
			const parts = [];
			response.on('data', part => parts.push(part));
			response.on('error', reject);
			response.on('end', () => resolve(Buffer.concat(parts)));
		});
		request.on('error', reject);
		request.end(body);
	});
}

async function one() {
	for (let i = 0; i < 4; i++) {
		if (!wanted.equals(await ask('GET', '/100000')))
			throw new Error('GET /100000: other bytes');
		const body = crypto.randomBytes(1 + 70000 * (i % 2));
		if (!body.equals(await ask('POST', '/echo', body)))
			throw new Error('POST /echo: other bytes');
	}
}

Promise.all(Array.from({length: Number(connections)}, one)).then(() => {
	console.log(`${connections} connections: every byte right`);
	agent.destroy();
}).catch(error => { console.error(String(error)); process.exit(1); });
