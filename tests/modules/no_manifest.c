/* A shared object that is no module at all. */
int no_manifest_answer(void);
int no_manifest_answer(void)
{
	return 42;
}
