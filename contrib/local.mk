# contrib: set-up scripts, service files, completions.
