libocore_la_SOURCES += \
	%D%/admin.c %D%/agent.c %D%/ask.c \
	%D%/agent.c \
	%D%/approvals.c \
	%D%/cli.c %D%/cli.h %D%/commands.h \
	%D%/completion.c \
	%D%/config.c %D%/cron.c \
	%D%/dashboard.c \
	%D%/doctor.c \
	%D%/envfile.c %D%/envfile.h \
	%D%/gateway.c \
	%D%/health.c \
	%D%/logs.c \
	%D%/memory.c \
	%D%/migrate.c %D%/migrate.h \
	%D%/migrate_cron.c %D%/migrate_files.c %D%/migrate_sessions.c \
	%D%/models.c \
	%D%/models_auth.c \
	%D%/module.c %D%/module_author.c %D%/module_trace.c \
	%D%/onboard.c \
	%D%/out.c \
	%D%/devices.c \
	%D%/pairing.c \
	%D%/plugin_command.c %D%/plugin_command.h \
	%D%/plugins.c %D%/plugins.h \
	%D%/plugins_config.c %D%/plugins_doctor.c \
	%D%/plugins_install.c \
	%D%/remote.c %D%/remote.h \
	%D%/session_export.c \
	%D%/session_stored.c %D%/session_source.c %D%/session_source.h \
	%D%/sessions.c %D%/sessions.h \
	%D%/store.c \
	%D%/skills.c \
	%D%/service.c %D%/service.h \
	%D%/status.c %D%/status.h
