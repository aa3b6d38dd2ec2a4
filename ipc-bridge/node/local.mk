# The JavaScript side.  Plain JavaScript for Node; nothing of it is compiled.
bridge_sources = \
	%D%/install.js \
	%D%/main.js \
	%D%/cli.js \
	%D%/lib/api.js \
	%D%/lib/auth.js \
	%D%/lib/channel.js \
	%D%/lib/channel_runtime.js \
	%D%/lib/config_diff.js \
	%D%/lib/engine.js \
	%D%/lib/entry.js \
	%D%/lib/events.js \
	%D%/lib/frame.js \
	%D%/lib/http.js \
	%D%/lib/internal.js \
	%D%/lib/inbound.js \
	%D%/lib/link.js %D%/lib/load.js \
	%D%/lib/media.js \
	%D%/lib/older.js \
	%D%/lib/peer.js \
	%D%/lib/policy.js \
	%D%/lib/plugin.js \
	%D%/lib/registry.js \
	%D%/lib/resolve.js \
	%D%/lib/runtime.js \
	%D%/lib/sp.js \
	%D%/lib/blocks.js \
	%D%/lib/text.js \
	%D%/lib/tools.js \
	%D%/lib/transpile.js \
	%D%/sdk/access.js \
	%D%/lib/untar.js \
	%D%/lib/watch.js \
	%D%/sdk/basics.js \
	%D%/sdk/channel-schemas.js \
	%D%/sdk/channels.js \
	%D%/sdk/devices.js \
	%D%/sdk/entry.js \
	%D%/sdk/files.js \
	%D%/sdk/gateway.js \
	%D%/sdk/history.js \
	%D%/sdk/index.js \
	%D%/sdk/models.js \
	%D%/sdk/names.js \
	%D%/sdk/net.js \
	%D%/sdk/pairing.js \
	%D%/sdk/reply.js \
	%D%/sdk/schema.js \
	%D%/sdk/secret.js \
	%D%/sdk/sections.js \
	%D%/sdk/setup.js \
	%D%/sdk/shorthand.js \
	%D%/sdk/status.js \
	%D%/sdk/tasks.js \
	%D%/sdk/text.js \
	%D%/sdk/webhook.js \
	%D%/sdk/zod.js
EXTRA_DIST += $(bridge_sources) %D%/bundle.mjs %D%/package.json %D%/package-lock.json

# The tree as it is installed, with the packages it brings along; made beside the program, so that a build tree runs plugins too.
bridge_dir = $(pkgdatadir)/bridge
if PLUGINS
bridge_tree = bridge/.made
endif
# Made aside under a name of its own and put in place at the end: two runs of make in one folder do not meet.
bridge/.made: $(bridge_sources) %D%/bundle.mjs %D%/package.json %D%/package-lock.json
	$(AM_V_GEN)new=bridge-new.$$$$ && rm -rf $$new && $(MKDIR_P) $$new/tree/lib $$new/tree/sdk $$new/npm && \
	for f in main.js cli.js install.js `cd $(srcdir)/%D% && echo lib/*.js sdk/*.js`; do cp $(srcdir)/%D%/$$f $$new/tree/$$f || exit 1; done && \
	cp $(srcdir)/%D%/package.json $(srcdir)/%D%/package-lock.json $(srcdir)/%D%/bundle.mjs $$new/npm/ && \
	(cd $$new/npm && $(NPM) ci --loglevel=error --no-audit --no-fund --ignore-scripts && $(NODE) bundle.mjs ../tree/vendor) && \
	touch $$new/tree/.made && { test ! -d bridge || mv bridge $$new/old; } && \
	{ mv -T $$new/tree bridge 2>/dev/null || test -f bridge/.made; } && rm -rf $$new
all-local: $(bridge_tree)
install-data-local: $(bridge_tree)
	@if test -n "$(bridge_tree)"; then \
	  for d in . lib sdk vendor; do \
	    $(MKDIR_P) "$(DESTDIR)$(bridge_dir)/$$d" && \
	    for f in bridge/$$d/*; do test ! -f "$$f" || $(INSTALL_DATA) "$$f" "$(DESTDIR)$(bridge_dir)/$$d/" || exit 1; done; \
	  done; \
	fi
uninstall-local:
	-rm -rf "$(DESTDIR)$(bridge_dir)"
bridge-clean:
	-rm -rf bridge bridge-new.*
.PHONY: bridge-clean
