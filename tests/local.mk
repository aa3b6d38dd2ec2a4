# Tests report in TAP.  run-test.sh gives each one a clean home, a clean environment and a time limit.
TEST_EXTENSIONS = .test
tap_driver = env AM_TAP_AWK='$(AWK)' $(SHELL) $(top_srcdir)/build-aux/tap-driver.sh
LOG_DRIVER = $(tap_driver)
LOG_COMPILER = $(SHELL) $(top_srcdir)/tests/run-test.sh
TEST_LOG_DRIVER = $(tap_driver)
TEST_LOG_COMPILER = $(SHELL) $(top_srcdir)/tests/run-test.sh
AM_TESTS_ENVIRONMENT = \
	OC_TOP_SRCDIR='$(abs_top_srcdir)'; export OC_TOP_SRCDIR; \
	OC_TOP_BUILDDIR='$(abs_top_builddir)'; export OC_TOP_BUILDDIR; \
	OC_BIN='$(abs_top_builddir)/openclaw'; export OC_BIN; \
	OC_MODULES='$(abs_top_builddir)/modules/.libs'; export OC_MODULES; \
	OC_STATIC_MODULES='$(strip $(static_module_names))'; export OC_STATIC_MODULES; \
	OC_VERSION='$(PACKAGE_VERSION)'; export OC_VERSION; \
	ROUNDS='$(ROUNDS)'; export ROUNDS; \
	SEED='$(SEED)'; export SEED; \
	CC='$(CC)'; export CC; \
	CXX='$(CXX)'; export CXX; \
	NM='$(NM)'; export NM; \
	OC_NPM="$${OC_NPM:-$(abs_top_builddir)/npm/node_modules}"; export OC_NPM; \
	NODE='$(NODE)'; export NODE;
if SANITIZED
AM_TESTS_ENVIRONMENT += OC_TEST_TIMEOUT="$${OC_TEST_TIMEOUT:-300}"; export OC_TEST_TIMEOUT;
endif
TESTS += tests/lint.test
EXTRA_DIST += tests/captures/protocol/2026.3.13/chat-03-tool-call-cap-on.jsonl tests/captures/protocol/2026.3.13/chat-04-tool-call-verbose-sessions.jsonl
EXTRA_DIST += tests/captures/protocol/2026.3.13/chat-05-abort-mid-stream.jsonl tests/captures/protocol/2026.3.13/chat-07-agent-two-phase-and-wait.jsonl
EXTRA_DIST += tests/captures/protocol/2026.3.13/chat-08-provider-error-500.jsonl tests/captures/protocol/2026.3.13/chat-10-two-clients.jsonl
EXTRA_DIST += tests/captures/protocol/2026.3.13/chat-11-slash-commands.jsonl tests/captures/protocol/2026.3.13/chat-12-invalid-and-edge.jsonl
EXTRA_DIST += tests/captures/protocol/2026.3.13/chat-13-two-messages-in-a-row.jsonl tests/captures/protocol/2026.3.13/handshake-04-device-v3-first-pairing.jsonl
EXTRA_DIST += tests/captures/protocol/2026.3.13/handshake-05-device-v3-again-paired.jsonl tests/captures/protocol/2026.3.13/http-chat-completions.jsonl
EXTRA_DIST += tests/captures/protocol/2026.3.13/http-health.jsonl tests/captures/protocol/2026.3.13/http-hooks.jsonl
EXTRA_DIST += tests/captures/protocol/2026.3.13/http-oversize.jsonl tests/captures/protocol/2026.3.13/http-responses-tools.jsonl
EXTRA_DIST += tests/captures/protocol/2026.3.13/http-responses.jsonl tests/captures/protocol/2026.3.13/http-tools-invoke.jsonl
EXTRA_DIST += tests/captures/protocol/2026.3.13/http-ws-upgrade.jsonl tests/captures/protocol/2026.3.13/shutdown-sigterm.jsonl
EXTRA_DIST += tests/captures/protocol/2026.6.11/v4-01-subscriptions.jsonl
EXTRA_DIST += tests/captures/protocol/device-signature-vectors.json
EXTRA_DIST += tests/captures/protocol/2026.3.13/chat-01-stream-to-final.jsonl tests/captures/protocol/2026.3.13/chat-02-tool-call-cap-off.jsonl
EXTRA_DIST += tests/captures/protocol/2026.3.13/chat-06-duplicate-idempotency-key.jsonl tests/captures/protocol/2026.3.13/chat-09-provider-error-401.jsonl
EXTRA_DIST += tests/captures/protocol/2026.3.13/handshake-01-good-token-no-device.jsonl tests/captures/protocol/2026.3.13/handshake-02-good-token-no-device-no-scopes.jsonl
EXTRA_DIST += tests/captures/protocol/2026.3.13/handshake-03-device-v2-first-pairing.jsonl tests/captures/protocol/2026.3.13/handshake-06-bad-token.jsonl
EXTRA_DIST += tests/captures/protocol/2026.3.13/handshake-07-missing-token.jsonl tests/captures/protocol/2026.3.13/handshake-08-first-frame-not-json.jsonl
EXTRA_DIST += tests/captures/protocol/2026.3.13/handshake-09-first-frame-wrong-type.jsonl tests/captures/protocol/2026.3.13/handshake-10-request-before-connect.jsonl
EXTRA_DIST += tests/captures/protocol/2026.3.13/handshake-11-connect-invalid-params.jsonl tests/captures/protocol/2026.3.13/handshake-12-protocol-mismatch.jsonl
EXTRA_DIST += tests/captures/protocol/2026.3.13/handshake-13-invalid-role.jsonl tests/captures/protocol/2026.3.13/handshake-14-device-bad-signature.jsonl
EXTRA_DIST += tests/captures/protocol/2026.3.13/handshake-17-unknown-method-and-bad-frames.jsonl tests/captures/protocol/2026.3.13/handshake-19-scopes-read-only.jsonl
EXTRA_DIST += tests/captures/protocol/2026.3.13/handshake-22-control-ui-origins.jsonl tests/captures/protocol/2026.6.11/chat-01-stream-to-final.jsonl
EXTRA_DIST += tests/captures/protocol/2026.6.11/chat-09-provider-error-401.jsonl tests/captures/protocol/2026.6.11/handshake-01-good-token-no-device.jsonl
EXTRA_DIST += tests/captures/protocol/2026.6.11/handshake-06-bad-token.jsonl tests/captures/protocol/2026.6.11/handshake-07-missing-token.jsonl
EXTRA_DIST += tests/captures/protocol/2026.6.11/handshake-10-request-before-connect.jsonl tests/captures/protocol/2026.6.11/handshake-11-connect-invalid-params.jsonl
EXTRA_DIST += tests/captures/protocol/2026.6.11/handshake-13-invalid-role.jsonl tests/captures/protocol/2026.6.11/handshake-14-device-bad-signature.jsonl
EXTRA_DIST += tests/captures/protocol/2026.3.13/methods-00-seed.jsonl tests/captures/protocol/2026.3.13/methods-agents.jsonl
EXTRA_DIST += tests/captures/protocol/2026.3.13/methods-sessions.jsonl tests/captures/protocol/2026.3.13/methods-system.jsonl
EXTRA_DIST += tests/captures/protocol/2026.3.13/handshake-15-oversize-frame-before-auth.jsonl tests/captures/protocol/2026.3.13/handshake-16-oversize-frame-after-auth.jsonl
EXTRA_DIST += tests/captures/protocol/2026.3.13/handshake-18-no-connect-timeout.jsonl tests/captures/protocol/2026.3.13/handshake-20-role-node.jsonl
EXTRA_DIST += tests/captures/protocol/2026.3.13/handshake-21-cli-device-pairing.jsonl tests/captures/protocol/2026.3.13/handshake-23-remote-pairing.jsonl
EXTRA_DIST += tests/captures/protocol/2026.3.13/heartbeat-wake.jsonl tests/captures/protocol/2026.3.13/methods-catalog.jsonl
EXTRA_DIST += tests/captures/protocol/2026.3.13/methods-channels-misc.jsonl tests/captures/protocol/2026.3.13/methods-config-2.jsonl
EXTRA_DIST += tests/captures/protocol/2026.3.13/methods-config.jsonl tests/captures/protocol/2026.3.13/methods-cron.jsonl
EXTRA_DIST += tests/captures/protocol/2026.3.13/methods-exec-approvals.jsonl tests/captures/protocol/2026.3.13/methods-nodes-devices.jsonl
EXTRA_DIST += tests/captures/protocol/2026.3.13/methods-wizard.jsonl tests/captures/protocol/2026.6.11/handshake-20-role-node.jsonl
EXTRA_DIST += tests/captures/protocol/2026.6.11/methods-exec-approvals.jsonl
EXTRA_DIST += tests/captures/hooks/order.json tests/captures/hooks/payloads.json
EXTRA_DIST += tests/captures/hooks/probe-plugin/index.ts tests/captures/hooks/probe-plugin/openclaw.plugin.json
EXTRA_DIST += tests/captures/hooks/probe-plugin/package.json
EXTRA_DIST += tests/run-test.sh tests/valgrind.supp tests/variant.sh tests/lint.sh tests/lint.test tests/npm/load.mjs tests/npm/package.json tests/npm/package-lock.json
EXTRA_DIST += tests/npm/plugins/package.json tests/npm/plugins/package-lock.json tests/npm/plugins/fetch.mjs
EXTRA_DIST += tests/captures/plugins/registrations.json tests/captures/plugins/kitchen-sink.json

# Packages for the tests that talk to real third parties; they skip without.
npm-deps:
	$(MKDIR_P) npm
	cp $(srcdir)/tests/npm/package.json $(srcdir)/tests/npm/package-lock.json npm/
	cd npm && npm ci --no-audit --no-fund
	$(MKDIR_P) npm/plugins
	cd $(srcdir)/tests/npm/plugins && cp package.json package-lock.json fetch.mjs $(abs_top_builddir)/npm/plugins/
	cd npm/plugins && npm ci --no-audit --no-fund --ignore-scripts && $(NODE) fetch.mjs .
clean-local: bridge-clean
	-rm -rf npm

lint:
	$(SHELL) $(srcdir)/tests/lint.sh $(srcdir)
format:
	cd $(srcdir) && find core modules ipc-bridge plugin-sdk tests -name '*.[ch]' -exec clang-format -i {} +
.PHONY: npm-deps lint format

# Parts of "make check".
check-unit:
	$(MAKE) check TESTS='$(unit_tests)'
check-integration:
	$(MAKE) check check_PROGRAMS= TESTS='$(integration_tests)'
# Where the bundled modules are (in the binary or beside it) changes nothing for plugins and for modules of others.
elsewhere = $(addprefix tests/integration/,sdk.test examples.test isolation.test hostile.test hooks.test protocol.test \
  migrate.test soak.test bridge-sdk.test firstparty%.test plugin%.test)
check-bundled:
	$(MAKE) check check_PROGRAMS= TESTS='$(filter-out $(elsewhere),$(integration_tests))'

# One command each; in folders of their own below variant/, except valgrind.
check-tsan:
	OC_TEST_TIMEOUT=900 $(SHELL) $(srcdir)/tests/variant.sh tsan check 'CC=$(CC)' 'CXX=$(CXX)' --enable-sanitizers=thread 'CFLAGS=-O1 -g'
check-asan:
	$(SHELL) $(srcdir)/tests/variant.sh asan check 'CC=$(CC)' 'CXX=$(CXX)' --enable-sanitizers=address,undefined 'CFLAGS=-O1 -g'
check-valgrind:
	$(MAKE) check TESTS='$(unit_tests)' OC_TEST_TIMEOUT=900 \
	  OC_TEST_WRAPPER='valgrind -q --error-exitcode=99 --leak-check=full --errors-for-leak-kinds=definite --child-silent-after-fork=yes --suppressions=$(abs_srcdir)/tests/valgrind.supp'
# FUZZ_SECONDS for each target.
FUZZ_SECONDS ?= 60
if FUZZING
fuzz: $(fuzz_targets)
	$(SHELL) $(srcdir)/tests/fuzz/fuzz.sh $(abs_srcdir) $(FUZZ_SECONDS) $(fuzz_targets)
else
fuzz:
	$(SHELL) $(srcdir)/tests/variant.sh fuzz fuzz CC=clang CXX=clang++ --enable-fuzzing --enable-sanitizers=address,undefined 'CFLAGS=-O1 -g'
endif
distclean-local:
	-rm -rf variant
.PHONY: check-unit check-integration check-bundled check-tsan check-asan check-valgrind fuzz

include tests/unit/local.mk
include tests/integration/local.mk
include tests/modules/local.mk
include tests/abi/local.mk
include tests/fault/local.mk
include tests/fuzz/local.mk
include tests/bench/local.mk
