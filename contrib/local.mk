# contrib: set-up scripts, service files, completions.
EXTRA_DIST += %D%/setup/deps.sh %D%/setup/run.sh %D%/setup/test.sh %D%/setup/chroot-test.sh
