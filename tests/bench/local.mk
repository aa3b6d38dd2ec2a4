# Measurements, run by "make bench", never by "make check".
bench:
	@echo "no measurements yet"
.PHONY: bench
