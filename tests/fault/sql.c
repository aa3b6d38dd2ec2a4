/* sql FILE STATEMENT…: runs the statements on a store and prints their rows, columns divided by tabs, for tests. */
#include <sqlite3.h>
#include <stdio.h>

int main(int argc, char **argv)
{
	sqlite3 *db = NULL;
	if (argc < 3 || sqlite3_open_v2(argv[1], &db, SQLITE_OPEN_READWRITE, NULL) != SQLITE_OK) {
		fprintf(stderr, "sql: cannot open %s\n", argc > 1 ? argv[1] : "nothing");
		return 1;
	}
	int rc = SQLITE_DONE;
	for (int i = 2; i < argc && rc == SQLITE_DONE; i++) {
		sqlite3_stmt *stmt = NULL;
		rc = sqlite3_prepare_v2(db, argv[i], -1, &stmt, NULL);
		if (rc == SQLITE_OK)
			while ((rc = sqlite3_step(stmt)) == SQLITE_ROW)
				for (int c = 0; c < sqlite3_column_count(stmt); c++) {
					const unsigned char *text = sqlite3_column_text(stmt, c);
					printf("%s%c", text != NULL ? (const char *)text : "",
					       c + 1 < sqlite3_column_count(stmt) ? '\t' : '\n');
				}
		sqlite3_finalize(stmt);
	}
	if (rc != SQLITE_DONE)
		fprintf(stderr, "sql: %s\n", sqlite3_errmsg(db));
	sqlite3_close(db);
	return rc == SQLITE_DONE ? 0 : 1;
}
