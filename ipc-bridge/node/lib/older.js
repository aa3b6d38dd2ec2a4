'use strict';
// What plugins expect of Node 20 and Debian 12's Node 18 has not, or has elsewhere.  Does nothing on newer ones.
const buffer = require('node:buffer');

if (globalThis.File === undefined)
	Object.defineProperty(globalThis, 'File', { configurable: true, get: () => buffer.File, set(value) {
		Object.defineProperty(globalThis, 'File', { configurable: true, writable: true, value });
	} });

const copies = {
	toReversed() {
		return [...this].reverse();
	},
	toSorted(compare) {
		return [...this].sort(compare);
	},
	toSpliced(...change) {
		const copy = [...this];
		copy.splice(...change);
		return copy;
	},
	with(index, value) {
		const copy = [...this], at = Math.trunc(index) < 0 ? copy.length + Math.trunc(index) : Math.trunc(index);
		if (!(at >= 0 && at < copy.length))
			throw new RangeError('the index is outside of the array');
		copy[at] = value;
		return copy;
	},
};
for (const [name, value] of Object.entries(copies))
	if (Array.prototype[name] === undefined)
		Object.defineProperty(Array.prototype, name, { configurable: true, writable: true, value });
