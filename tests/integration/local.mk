# Integration tests: scripts (sh or node, executable, TAP on stdout) that drive the real binary through its front doors.
# One line adds one:   integration_tests += %D%/name.test
# They are run by tests/run-test.sh with a clean HOME, OPENCLAW_STATE_DIR and TMPDIR and get: OC_BIN (the binary),
# OC_MODULES (folder of the bundled modules), OC_STATIC_MODULES (their names when linked in), OC_TOP_SRCDIR,
# OC_TOP_BUILDDIR, OC_VERSION, NODE, CC, OC_NPM (folder of npm packages, see tests/npm/load.mjs).
integration_tests =
integration_tests += %D%/config.test
integration_tests += %D%/config-live.test
integration_tests += %D%/module.test
integration_tests += %D%/module-crash.test
integration_tests += %D%/isolation.test
integration_tests += %D%/modules-live.test
integration_tests += %D%/sdk.test
integration_tests += %D%/examples.test
integration_tests += %D%/sessions.test
integration_tests += %D%/store.test
integration_tests += %D%/store-faults.test
integration_tests += %D%/telegram-module.test
integration_tests += %D%/telegram.test
integration_tests += %D%/version.test
integration_tests += %D%/gateway.test
integration_tests += %D%/queue.test
integration_tests += %D%/cli.test
integration_tests += %D%/skills.test
integration_tests += %D%/memory.test
integration_tests += %D%/model-errors.test
integration_tests += %D%/keys.test
integration_tests += %D%/context.test
integration_tests += %D%/soak.test
integration_tests += %D%/errors.test
integration_tests += %D%/openai-client.test
integration_tests += %D%/tools.test
integration_tests += %D%/streams.test
integration_tests += %D%/ws.test
integration_tests += %D%/subagents.test
integration_tests += %D%/metrics.test
integration_tests += %D%/providers.test
integration_tests += %D%/plugins.test
integration_tests += %D%/firstparty.test
integration_tests += %D%/bridge-sdk.test
integration_tests += %D%/firstparty-work.test
integration_tests += %D%/hooks.test
integration_tests += %D%/plugins-install.test
integration_tests += %D%/hostile.test
integration_tests += %D%/plugin-surface.test
integration_tests += %D%/plugin-engine.test
integration_tests += %D%/plugin-host.test
integration_tests += %D%/plugin-provider.test
integration_tests += %D%/plugin-channels.test
integration_tests += %D%/plugin-http.test

# Runs one channel module for a script; see there.
check_PROGRAMS += %D%/channel_driver
tests_integration_channel_driver_LDADD = $(OC_LIBS) -ldl

# What the .test files load, one a line.
EXTRA_DIST += %D%/channel-driver.mjs
EXTRA_DIST += %D%/cli.mjs
EXTRA_DIST += %D%/config-live.mjs
EXTRA_DIST += %D%/context.mjs
EXTRA_DIST += %D%/soak.mjs
EXTRA_DIST += %D%/errors.mjs
EXTRA_DIST += %D%/examples.mjs
EXTRA_DIST += %D%/fake-telegram.mjs
EXTRA_DIST += %D%/gateway.mjs
EXTRA_DIST += %D%/hooks.mjs
EXTRA_DIST += %D%/hostile.mjs
EXTRA_DIST += %D%/keys.mjs
EXTRA_DIST += %D%/lib.mjs
EXTRA_DIST += %D%/memory.mjs
EXTRA_DIST += %D%/metrics.mjs
EXTRA_DIST += %D%/isolation.mjs
EXTRA_DIST += %D%/module-crash.mjs
EXTRA_DIST += %D%/model-errors.mjs
EXTRA_DIST += %D%/modules-live.mjs
EXTRA_DIST += %D%/openai-client.mjs
EXTRA_DIST += %D%/plugins.mjs
EXTRA_DIST += %D%/plugin-http.mjs
EXTRA_DIST += %D%/plugins.mjs %D%/firstparty.mjs %D%/bridge-sdk.mjs %D%/firstparty-work.mjs
EXTRA_DIST += %D%/plugin-surface.mjs
EXTRA_DIST += %D%/plugin-channels.mjs
EXTRA_DIST += %D%/plugin-engine.mjs
EXTRA_DIST += %D%/plugin-host.mjs
EXTRA_DIST += %D%/plugin-provider.mjs
EXTRA_DIST += %D%/plugins-install.mjs
EXTRA_DIST += %D%/providers.mjs
EXTRA_DIST += %D%/queue.mjs
EXTRA_DIST += %D%/skills.mjs
EXTRA_DIST += %D%/store.mjs %D%/store-faults.mjs
EXTRA_DIST += %D%/streams.mjs
EXTRA_DIST += %D%/subagents.mjs
EXTRA_DIST += %D%/telegram-module.mjs
EXTRA_DIST += %D%/telegram.mjs
EXTRA_DIST += %D%/tools.mjs
EXTRA_DIST += %D%/ws.mjs

EXTRA_DIST += $(integration_tests)
TESTS += $(integration_tests)
