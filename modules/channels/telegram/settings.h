/* What the configuration says about one account, and its secrets (settings.c). */
#ifndef TG_SETTINGS_H
#define TG_SETTINGS_H

#include "telegram.h"

/* Fills a zeroed *c, which is freed with tg_config_free also on failure. On OC_E_INVALID *ret_wrong says what is wrong. */
oc_status tg_config_read(const char *account, const cJSON *config, tg_config *c, const char **ret_wrong);
void tg_config_free(tg_config *c);
/* The account's bot token; path becomes the configuration key it belongs to. On failure *ret_wrong says what is wrong. */
oc_status tg_token_read(tg_module *m, const char *account, const cJSON *config, char *path, size_t path_size, char *out,
			size_t size, const char **ret_wrong);
/* The configured webhook secret, or a new random one. */
oc_status tg_webhook_secret_read(tg_module *m, const char *account, char *out, size_t size, const char **ret_wrong);

#endif
