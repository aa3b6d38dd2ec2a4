/* The guard against requests into the machine's own networks. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/un.h>

#include <cmocka.h>

#include "core/net/ssrf.h"

static oc_ssrf_class of(const char *text)
{
	struct sockaddr_in in4 = {.sin_family = AF_INET};
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};

	if (inet_pton(AF_INET, text, &in4.sin_addr) == 1)
		return oc_ssrf_classify((struct sockaddr *)&in4, sizeof(in4));
	if (inet_pton(AF_INET6, text, &in6.sin6_addr) != 1)
		fail_msg("%s is no address", text);
	return oc_ssrf_classify((struct sockaddr *)&in6, sizeof(in6));
}

static void t_addresses(void **state)
{
	static const struct {
		const char *text;
		oc_ssrf_class class;
	} list[] = {
		{"8.8.8.8", OC_SSRF_PUBLIC},
		{"1.1.1.1", OC_SSRF_PUBLIC},
		{"172.15.255.255", OC_SSRF_PUBLIC},
		{"172.32.0.0", OC_SSRF_PUBLIC},
		{"192.167.255.255", OC_SSRF_PUBLIC},
		{"192.169.0.0", OC_SSRF_PUBLIC},
		{"9.255.255.255", OC_SSRF_PUBLIC},
		{"11.0.0.0", OC_SSRF_PUBLIC},
		{"100.63.255.255", OC_SSRF_PUBLIC},
		{"100.128.0.0", OC_SSRF_PUBLIC},
		{"223.255.255.255", OC_SSRF_PUBLIC},
		{"168.63.129.17", OC_SSRF_PUBLIC},
		{"0.0.0.0", OC_SSRF_UNSPECIFIED},
		{"0.1.2.3", OC_SSRF_UNSPECIFIED},
		{"127.0.0.1", OC_SSRF_LOOPBACK},
		{"127.255.255.255", OC_SSRF_LOOPBACK},
		{"10.0.0.0", OC_SSRF_PRIVATE},
		{"10.255.255.255", OC_SSRF_PRIVATE},
		{"172.16.0.0", OC_SSRF_PRIVATE},
		{"172.31.255.255", OC_SSRF_PRIVATE},
		{"192.168.0.0", OC_SSRF_PRIVATE},
		{"192.168.255.255", OC_SSRF_PRIVATE},
		{"100.64.0.0", OC_SSRF_SHARED},
		{"100.100.100.200", OC_SSRF_SHARED},
		{"100.127.255.255", OC_SSRF_SHARED},
		{"169.254.169.254", OC_SSRF_LINK_LOCAL},
		{"168.63.129.16", OC_SSRF_METADATA},
		{"192.0.0.192", OC_SSRF_RESERVED},
		{"192.0.2.1", OC_SSRF_RESERVED},
		{"198.18.0.1", OC_SSRF_RESERVED},
		{"198.19.255.255", OC_SSRF_RESERVED},
		{"198.51.100.1", OC_SSRF_RESERVED},
		{"203.0.113.1", OC_SSRF_RESERVED},
		{"224.0.0.1", OC_SSRF_MULTICAST},
		{"239.255.255.255", OC_SSRF_MULTICAST},
		{"240.0.0.1", OC_SSRF_RESERVED},
		{"255.255.255.255", OC_SSRF_RESERVED},
		{"2606:4700::1111", OC_SSRF_PUBLIC},
		{"2a00:1450::1", OC_SSRF_PUBLIC},
		{"::", OC_SSRF_UNSPECIFIED},
		{"::1", OC_SSRF_LOOPBACK},
		{"::2", OC_SSRF_UNSPECIFIED},
		{"::127.0.0.1", OC_SSRF_LOOPBACK},
		{"::ffff:127.0.0.1", OC_SSRF_LOOPBACK},
		{"::ffff:10.1.2.3", OC_SSRF_PRIVATE},
		{"::ffff:8.8.8.8", OC_SSRF_PUBLIC},
		{"64:ff9b::7f00:1", OC_SSRF_LOOPBACK},
		{"64:ff9b::808:808", OC_SSRF_PUBLIC},
		{"64:ff9b:1::808:808", OC_SSRF_RESERVED},
		{"2002:7f00:1::", OC_SSRF_LOOPBACK},
		{"2002:a9fe:a9fe::1", OC_SSRF_LINK_LOCAL},
		{"2001:0:808:808::80ff:fffe", OC_SSRF_LOOPBACK}, /* Teredo client 127.0.0.1, inverted */
		{"2001:0:a00:1::f7f7:f7f7", OC_SSRF_PRIVATE},
		{"2a00:1450::5efe:192.168.1.1", OC_SSRF_PRIVATE}, /* ISATAP */
		{"2a00:1450::200:5efe:10.0.0.1", OC_SSRF_PRIVATE},
		{"fe80::1", OC_SSRF_LINK_LOCAL},
		{"febf::1", OC_SSRF_LINK_LOCAL},
		{"fec0::1", OC_SSRF_PRIVATE},
		{"fc00::1", OC_SSRF_PRIVATE},
		{"fd00:ec2::254", OC_SSRF_PRIVATE},
		{"ff02::1", OC_SSRF_MULTICAST},
		{"2001:db8::1", OC_SSRF_RESERVED},
		{"2001:2::1", OC_SSRF_RESERVED},
		{"3fff::1", OC_SSRF_RESERVED},
		{"100::1", OC_SSRF_RESERVED},
		{"5f00::1", OC_SSRF_RESERVED},
		{"4000::1", OC_SSRF_RESERVED},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++) {
		if (of(list[i].text) != list[i].class)
			fail_msg("%s: %s instead of %s", list[i].text, oc_ssrf_class_name(of(list[i].text)),
				 oc_ssrf_class_name(list[i].class));
	}
}

static void t_other_families(void **state)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	struct sockaddr_in in4 = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x08080808)};
	oc_err err = {0};

	(void)state;
	assert_int_equal(oc_ssrf_classify((struct sockaddr *)&un, sizeof(un)), OC_SSRF_NOT_INET);
	assert_int_equal(oc_ssrf_check_addr((struct sockaddr *)&un, sizeof(un), &err), OC_E_DENIED);
	assert_int_equal(oc_ssrf_classify((struct sockaddr *)&in4, 4), OC_SSRF_NOT_INET); /* cut short */
	assert_int_equal(oc_ssrf_check_addr((struct sockaddr *)&in4, sizeof(in4), &err), OC_OK);
}

static oc_status url(const char *text, oc_err *err)
{
	oc_url *u = NULL;
	oc_status status;

	assert_int_equal(oc_url_parse(oc_str_of(text), &u, NULL), OC_OK);
	status = oc_ssrf_check_url(u, err);
	oc_url_free(u);
	return status;
}

static void t_urls(void **state)
{
	static const char *const refused[] = {
		"http://localhost/",	   "http://LOCALHOST./",       "http://a.localhost:8080/", "http://printer/",
		"http://printer.local/",   "http://x.internal/",       "http://metadata.google.internal/",
		"http://router.lan/",	   "http://x.home.arpa/",      "http://127.0.0.1/",	   "http://2130706433/",
		"http://0x7f.1/",	   "http://[::1]/",	       "http://[::ffff:a00:1]/",   "http://0/",
		"http://169.254.169.254/", "https://u:p@example.com/",
	};
	static const char *const allowed[] = {
		"https://example.com/", "http://8.8.8.8/", "http://[2606:4700::1111]/", "https://notlocalhost.com/",
		"https://local.example/", "https://xlocal.com/",
	};
	oc_err err;

	(void)state;
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		memset(&err, 0, sizeof(err));
		if (url(refused[i], &err) != OC_E_DENIED)
			fail_msg("%s was let through", refused[i]);
		assert_true(err.text[0] != 0 && err.remedy[0] != 0);
	}
	for (size_t i = 0; i < sizeof(allowed) / sizeof(allowed[0]); i++) {
		if (url(allowed[i], &err) != OC_OK)
			fail_msg("%s was refused: %s", allowed[i], err.text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t_addresses),
		cmocka_unit_test(t_other_families),
		cmocka_unit_test(t_urls),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
