# contrib: set-up scripts, man page. Service units and shell completions are printed by the program itself.
EXTRA_DIST += %D%/setup/deps.sh %D%/setup/run.sh %D%/setup/test.sh %D%/setup/chroot-test.sh
dist_man1_MANS = %D%/man/openclaw.1
