# The face that modules see: the header, exported symbols, and (frozen_v1_N.h) every offset of every released minor.
abi_tests =
abi_tests += %D%/header.test
abi_tests += %D%/symbols.test
EXTRA_DIST += $(abi_tests)
TESTS += $(abi_tests)
