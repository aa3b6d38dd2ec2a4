/*
 * Feeds every file of the corpus folders given as arguments to a fuzz target, without a fuzzer: so that "make check" runs
 * what fuzzing once found, with any compiler and any sanitizer.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int replay(const char *path)
{
	FILE *file = fopen(path, "rb");
	if (file == NULL)
		return -1;
	size_t n = 0, cap = 1 << 16;
	uint8_t *data = malloc(cap);
	while (data != NULL) {
		n += fread(data + n, 1, cap - n, file);
		if (n < cap)
			break;
		uint8_t *bigger = realloc(data, cap * 2);
		if (bigger == NULL)
			free(data);
		data = bigger;
		cap *= 2;
	}
	int failed = data == NULL || ferror(file);
	fclose(file);
	if (!failed) {
		/* An exact copy, so that a sanitizer sees the first byte read beyond the end. */
		uint8_t *exact = malloc(n > 0 ? n : 1);
		failed = exact == NULL;
		if (!failed) {
			memcpy(exact, data, n);
			(void)LLVMFuzzerTestOneInput(exact, n);
		}
		free(exact);
	}
	free(data);
	return failed ? -1 : 0;
}

static int is_input(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

int main(int argc, char **argv)
{
	int number = 0, failed = 0;
	for (int i = 1; i < argc; i++) {
		struct dirent **list = NULL;
		int n = scandir(argv[i], &list, is_input, alphasort);
		if (n < 0) {
			printf("not ok %d - %s cannot be read\n", ++number, argv[i]);
			failed = 1;
			continue;
		}
		for (int k = 0; k < n; k++) {
			char path[4096];
			snprintf(path, sizeof path, "%s/%s", argv[i], list[k]->d_name);
			int rc = replay(path);
			printf("%sok %d - %s\n", rc == 0 ? "" : "not ", ++number, list[k]->d_name);
			fflush(stdout);
			failed |= rc != 0;
			free(list[k]);
		}
		free(list);
	}
	if (number == 0) {
		printf("not ok 1 - the corpus is empty\n");
		number = failed = 1;
	}
	printf("1..%d\n", number);
	return failed;
}
