/* What t_sandbox tries from the inside of a sandbox. */
#ifndef OC_TEST_SANDBOX_ATTEMPTS_H
#define OC_TEST_SANDBOX_ATTEMPTS_H

/* Tries `what` with up to two words to it ("" where it takes none), in this process. Returns 0 when it worked, otherwise the
 * errno (255 where there was none); 254: no such attempt. Some count instead: "processes", "caps". */
int attempt(const char *what, const char *a, const char *b);

#endif
