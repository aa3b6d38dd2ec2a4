# The frozen ABI: layout of releases, exported symbols.
abi_tests = %D%/header.test %D%/symbols.test
TESTS += $(abi_tests)
EXTRA_DIST += $(abi_tests) %D%/frozen.c %D%/frozen_v1_0.h
