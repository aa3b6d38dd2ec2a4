libocore_la_SOURCES += \
	%D%/absent.c %D%/absent.h \
	%D%/access.c %D%/access.h \
	%D%/auth.c %D%/auth.h \
	%D%/chat.c %D%/chat.h \
	%D%/claw_agents.c %D%/claw_config.c %D%/claw_changes.c %D%/claw_history.c %D%/claw_sessions.c %D%/claw_subscribe.c %D%/claw_subscribe.h %D%/claw_usage.c \
	%D%/completions.c %D%/connect.c %D%/control_ui.c \
	%D%/deep.c %D%/device.c %D%/device.h \
	%D%/embeddings.c \
	%D%/events.c %D%/events.h \
	%D%/frame.c %D%/frame.h \
	%D%/gateway.c %D%/gateway.h \
	%D%/guest.c %D%/hello.c %D%/hooks.c %D%/http.c %D%/identity.c \
	%D%/jsonrpc.c %D%/jsonrpc.h %D%/login.c \
	%D%/method.c %D%/method.h \
	%D%/logging.c %D%/logging.h \
	%D%/methods_agent.c %D%/methods_approvals.c %D%/methods_chat.c %D%/methods_cron.c %D%/methods_device.c %D%/methods_health.c %D%/methods_memory.c %D%/methods_node.c %D%/methods_node_pair.c %D%/methods_plugins.c %D%/methods_session.c %D%/methods_store.c \
	%D%/methods_system.c \
	%D%/metrics.c \
	%D%/node.c %D%/node.h %D%/node_book.c %D%/node_book.h %D%/node_event.c %D%/node_queue.c %D%/node_queue.h \
	%D%/notify.c %D%/notify.h \
	%D%/openai.c %D%/openai.h \
	%D%/password.c %D%/password.h \
	%D%/plugin_auth.c \
	%D%/plugin_events.c \
	%D%/plugin_host.c %D%/plugin_host.h \
	%D%/plugin_turns.c \
	%D%/plugins.c %D%/plugins.h \
	%D%/plugins_http.c \
	%D%/plugins_method.c \
	%D%/proto.c %D%/proto.h \
	%D%/messages.c %D%/responses.c %D%/rpc.c \
	%D%/runtime.c %D%/runtime.h \
	%D%/tally.c %D%/tally.h \
	%D%/tools_invoke.c %D%/users.c
