# The JavaScript side.  Plain JavaScript for Node; nothing of it is compiled.
bridge_sources = \
	%D%/main.js \
	%D%/lib/api.js \
	%D%/lib/channel.js \
	%D%/lib/entry.js \
	%D%/lib/frame.js \
	%D%/lib/http.js \
	%D%/lib/load.js \
	%D%/lib/peer.js \
	%D%/lib/plugin.js \
	%D%/lib/registry.js \
	%D%/lib/resolve.js \
	%D%/lib/runtime.js \
	%D%/lib/sp.js \
	%D%/lib/tools.js \
	%D%/lib/transpile.js \
	%D%/sdk/basics.js \
	%D%/sdk/entry.js \
	%D%/sdk/index.js
EXTRA_DIST += $(bridge_sources) %D%/bundle.mjs %D%/package.json %D%/package-lock.json
