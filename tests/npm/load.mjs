// Loads a package that test.sh (or "make npm-deps") installed outside the source tree; null when it is not there.
// A test that gets null says so: "1..0 # SKIP needs npm packages (make npm-deps)".
import { createRequire } from 'node:module';
import path from 'node:path';
import { pathToFileURL } from 'node:url';

export async function load(name) {
	if (!process.env.OC_NPM)
		return null;
	let file;
	try {
		file = createRequire(path.join(process.env.OC_NPM, 'x.js')).resolve(name);
	} catch (error) {
		if (error.code === 'MODULE_NOT_FOUND')
			return null;
		throw error;
	}
	return import(pathToFileURL(file));
}
