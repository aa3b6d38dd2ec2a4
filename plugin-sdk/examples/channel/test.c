#include "module.c"
#include <openclaw/test.h>

#define PATH "linechat-test.sock"

static int say(const char *text)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX, .sun_path = PATH};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	OCT_CHECK(connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0);
	OCT_CHECK(write(fd, text, strlen(text)) == (ssize_t)strlen(text));
	return fd;
}

int main(void)
{
	oct_host *h = oct_open(oc_module_v1(), "module.json", "{}");
	char back[100] = "";
	int fd;

	OCT_CHECK(oct_connect(h, "{\"account\":\"default\",\"config\":{\"path\":\"/nowhere/at/all\"}}")->status == OC_E_IO);
	OCT_CHECK(oct_connect(h, "{\"account\":\"default\",\"config\":{\"path\":\"" PATH "\"}}")->status == OC_OK);
	OCT_CHECK(oct_send(h, "{\"to\":\"local\",\"text\":\"too early\"}")->status == OC_E_UNAVAILABLE);

	fd = say("Hello \"you\"\nand");
	oct_advance(h, 50);
	OCT_CONTAINS(oct_sent(h, OCT_CHANNEL, 0).text, "\"text\":\"Hello \\\"you\\\"\"");
	OCT_EQUAL(oct_sent(h, OCT_CHANNEL, 1).text, ""); /* half a line is no message */
	OCT_CHECK(oct_send(h, "{\"to\":\"local\",\"text\":\"Good day\"}")->status == OC_OK);
	OCT_CHECK(read(fd, back, sizeof(back) - 1) == 9 && strcmp(back, "Good day\n") == 0);

	oct_receive_status(h, OC_E_BUSY);
	OCT_CHECK(write(fd, " so on\n", 7) == 7);
	oct_advance(h, 50);
	OCT_CONTAINS(oct_sent(h, OCT_CHANNEL, 1).text, "and so on");
	OCT_CHECK(read(fd, back, sizeof(back) - 1) > 0 && strncmp(back, "! not taken", 11) == 0);
	(void)close(fd);
	oct_advance(h, 50);
	OCT_CHECK(oct_send(h, "{\"to\":\"local\",\"text\":\"too late\"}")->status == OC_E_UNAVAILABLE);
	OCT_CHECK(oct_disconnect(h, "{\"account\":\"default\"}")->status == OC_OK);
	(void)unlink(PATH);
	oct_close(h);
	return oct_end();
}
