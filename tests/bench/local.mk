# Measurements, run by "make bench", never by "make check": figures beside a reference measured in the same run.
bench_programs = %D%/bench_start
EXTRA_PROGRAMS += %D%/bench_start
tests_bench_bench_start_SOURCES = %D%/bench_start.c
tests_bench_bench_start_LDADD =
EXTRA_DIST += %D%/run.sh

bench: all $(bench_programs)
	$(srcdir)/tests/bench/run.sh .
.PHONY: bench
