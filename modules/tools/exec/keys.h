/* What pressing keys sends to a terminal.  Pure. */
#ifndef EX_KEYS_H
#define EX_KEYS_H

#include "tk.h"

/* One key: "Enter", "Tab", "Escape", "Space", "BSpace", "Up", "F5", "C-c" (control), "M-x" (alt), or text as it is. false
 * when a name with a modifier is not known. */
bool ex_keys_add(const char *key, tk_text *out);
/* "1b 5b 41", "0x1b": false when it is not hexadecimal. */
bool ex_keys_hex(const char *hex, tk_text *out);

#endif
