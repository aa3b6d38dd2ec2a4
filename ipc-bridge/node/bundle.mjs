// usage: node bundle.mjs OUTPUT-FOLDER
//
// Bundles the few packages the bridge brings along into one file each, so that an installed gateway needs no npm.
import { build } from 'esbuild';
import fs from 'node:fs';
import path from 'node:path';

const out = path.resolve(process.argv[2] || 'vendor');
const here = path.dirname(new URL(import.meta.url).pathname);
const subs = (list) => list.map(([sub, spec]) => `${JSON.stringify(sub)}: require(${JSON.stringify(spec)})`).join(', ');

const entries = {
	sucrase: `const { transform } = require('sucrase');
		const { parse } = require('sucrase/dist/parser');
		const { TokenType } = require('sucrase/dist/parser/tokenizer/types');
		const { IdentifierRole } = require('sucrase/dist/parser/tokenizer');
		module.exports = { transform, parse, tokens: TokenType, roles: IdentifierRole };`,
	'sinclair-typebox': `module.exports = { root: require('@sinclair/typebox'), subs: { ${subs([
		['compiler', '@sinclair/typebox/compiler'], ['value', '@sinclair/typebox/value'], ['errors', '@sinclair/typebox/errors'],
		['type', '@sinclair/typebox/type'], ['system', '@sinclair/typebox/system'], ['parser', '@sinclair/typebox/parser']])} } };`,
	typebox: `module.exports = { root: require('typebox'), subs: { ${subs([
		['compile', 'typebox/compile'], ['value', 'typebox/value'], ['type', 'typebox/type'], ['schema', 'typebox/schema'],
		['error', 'typebox/error'], ['format', 'typebox/format'], ['guard', 'typebox/guard'], ['system', 'typebox/system']])} } };`,
	zod: `module.exports = { root: require('zod'), subs: { ${subs([['v3', 'zod/v3'], ['v4', 'zod/v4'], ['mini', 'zod/mini'],
		['v4-mini', 'zod/v4-mini'], ['v4/core', 'zod/v4/core']])} } };`,
	commander: `module.exports = { root: require('commander'), subs: {} };`,
};

fs.mkdirSync(out, { recursive: true });
let licences = '';
for (const [name, contents] of Object.entries(entries)) {
	const result = await build({
		stdin: { contents, resolveDir: here, loader: 'js' },
		outfile: path.join(out, `${name}.js`),
		bundle: true, platform: 'node', target: 'node18', format: 'cjs', minify: true, legalComments: 'none', metafile: true,
		logLevel: 'warning',
	});
	const packages = new Set(Object.keys(result.metafile.inputs).map((file) => /node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(file)?.[1]));
	for (const used of [...packages].filter(Boolean).sort()) {
		const folder = path.join(here, 'node_modules', used);
		const { version, license } = JSON.parse(fs.readFileSync(path.join(folder, 'package.json'), 'utf8'));
		const file = fs.readdirSync(folder).find((entry) => /^licen[cs]e/i.test(entry));
		const text = `==== ${used} ${version} (${license}) ====\n\n${file ? fs.readFileSync(path.join(folder, file), 'utf8') : ''}\n`;
		if (!licences.includes(`==== ${used} `))
			licences += text;
	}
}
fs.writeFileSync(path.join(out, 'LICENSES'), licences);
