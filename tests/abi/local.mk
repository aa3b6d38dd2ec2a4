# The face that modules see: the header, every offset, type and constant of it frozen, exported symbols, hardening.
abi_tests = %D%/abidiff.test %D%/hardening.test %D%/header.test %D%/hostile.test %D%/matrix.test %D%/symbols.test
TESTS += $(abi_tests)
EXTRA_DIST += ABI.md $(abi_tests) %D%/hostile.mjs %D%/freeze.sh %D%/frozen.c %D%/frozen_v1_0.h %D%/v1_0/openclaw/module.h

# After a change of module.h on purpose, before its minor is released.
abi-freeze:
	CC='$(CC)' $(SHELL) $(srcdir)/tests/abi/freeze.sh $(srcdir)/plugin-sdk/include/openclaw/module.h \
	  > $(srcdir)/tests/abi/frozen_v$(OC_ABI_MAJOR)_$(OC_ABI_MINOR).h
	$(MKDIR_P) $(srcdir)/tests/abi/v$(OC_ABI_MAJOR)_$(OC_ABI_MINOR)/openclaw
	cp $(srcdir)/plugin-sdk/include/openclaw/module.h $(srcdir)/tests/abi/v$(OC_ABI_MAJOR)_$(OC_ABI_MINOR)/openclaw/
.PHONY: abi-freeze
