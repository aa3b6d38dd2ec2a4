/* modules/channels/telegram: updates -> messages for the host. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "inbound.h"

static const tg_bot bot = {.id = 777, .username = "Claw_bot", .name = "Claw"};

static tg_inbound read_update(const char *json)
{
	tg_inbound in;
	cJSON *update = cJSON_Parse(json);
	assert_non_null(update);
	assert_int_equal(tg_inbound_read(update, &bot, "default", &in), OC_OK);
	cJSON_Delete(update);
	return in;
}

static void is(const char *update, const char *message)
{
	tg_inbound in = read_update(update);
	if (message == NULL) {
		assert_null(in.message);
	} else {
		assert_non_null(in.message);
		cJSON *want = cJSON_Parse(message);
		assert_non_null(want);
		char *got_text = cJSON_PrintUnformatted(in.message), *want_text = cJSON_PrintUnformatted(want);
		if (!cJSON_Compare(in.message, want, true))
			fail_msg("\n got %s\nwant %s", got_text, want_text);
		free(got_text);
		free(want_text);
		cJSON_Delete(want);
	}
	tg_inbound_free(&in);
}

#define FROM "\"from\":{\"id\":5,\"is_bot\":false,\"first_name\":\"Ada\",\"last_name\":\"L\",\"username\":\"ada\"}"
#define DM "\"chat\":{\"id\":5,\"type\":\"private\",\"first_name\":\"Ada\"}"
#define GROUP "\"chat\":{\"id\":-1009,\"type\":\"supergroup\",\"title\":\"Team\"}"
#define HEAD "{\"update_id\":9,\"message\":{\"message_id\":3,\"date\":100," FROM ","
#define SENDER "\"sender\":{\"id\":\"5\",\"name\":\"Ada L\",\"username\":\"ada\",\"isBot\":false}"
#define OUT_DM "{\"channel\":\"telegram\",\"account\":\"default\",\"id\":\"3\",\"timestampMs\":100000,"\
	       "\"chat\":{\"type\":\"dm\",\"id\":\"5\"}," SENDER
#define OUT_GROUP "{\"channel\":\"telegram\",\"account\":\"default\",\"id\":\"3\",\"timestampMs\":100000,"\
		  "\"chat\":{\"type\":\"group\",\"id\":\"-1009\",\"title\":\"Team\"}," SENDER

static void direct_text(void **state)
{
	(void)state;
	is(HEAD DM ",\"text\":\"hi\"}}", OUT_DM ",\"text\":\"hi\"}");
	tg_inbound in = read_update(HEAD DM ",\"text\":\"hi\"}}");
	assert_int_equal(in.update_id, 9);
	assert_string_equal(in.chat, "5");
	assert_int_equal(in.n_files, 0);
	tg_inbound_free(&in);
}

static void edited(void **state)
{
	(void)state;
	is("{\"update_id\":9,\"edited_message\":{\"message_id\":3,\"date\":100,\"edit_date\":160," FROM "," DM
	   ",\"text\":\"new\"}}",
	   "{\"channel\":\"telegram\",\"account\":\"default\",\"id\":\"3:160\",\"timestampMs\":160000,\"edited\":true,"
	   "\"chat\":{\"type\":\"dm\",\"id\":\"5\"}," SENDER ",\"text\":\"new\"}");
}

static void mentions(void **state)
{
	(void)state;
	is(HEAD GROUP ",\"text\":\"hello\"}}", OUT_GROUP ",\"text\":\"hello\",\"mentioned\":false}");
	/* the offset counts UTF-16 units: a face is two */
	is(HEAD GROUP ",\"text\":\"😀 @claw_BOT hi\",\"entities\":[{\"type\":\"mention\",\"offset\":3,\"length\":9}]}}",
	   OUT_GROUP ",\"text\":\"😀 @claw_BOT hi\",\"mentioned\":true}");
	is(HEAD GROUP ",\"text\":\"@claw_bot2 hi\",\"entities\":[{\"type\":\"mention\",\"offset\":0,\"length\":10}]}}",
	   OUT_GROUP ",\"text\":\"@claw_bot2 hi\",\"mentioned\":false}");
	/* the name without an entity (inside code, say) is no mention */
	is(HEAD GROUP ",\"text\":\"@claw_bot\"}}", OUT_GROUP ",\"text\":\"@claw_bot\",\"mentioned\":false}");
	is(HEAD GROUP ",\"text\":\"Claw, hi\",\"entities\":[{\"type\":\"text_mention\",\"offset\":0,\"length\":4,"
	   "\"user\":{\"id\":777}}]}}",
	   OUT_GROUP ",\"text\":\"Claw, hi\",\"mentioned\":true}");
	is(HEAD GROUP ",\"text\":\"/status@Claw_bot now\",\"entities\":[{\"type\":\"bot_command\",\"offset\":0,"
	   "\"length\":16}]}}",
	   OUT_GROUP ",\"text\":\"/status now\",\"mentioned\":true}");
	is(HEAD GROUP ",\"text\":\"/status@other_bot\",\"entities\":[{\"type\":\"bot_command\",\"offset\":0,"
	   "\"length\":17}]}}",
	   OUT_GROUP ",\"text\":\"/status@other_bot\",\"mentioned\":false}");
	is(HEAD GROUP ",\"caption\":\"@claw_bot look\",\"caption_entities\":[{\"type\":\"mention\",\"offset\":0,"
	   "\"length\":9}],\"photo\":[]}}",
	   OUT_GROUP ",\"text\":\"@claw_bot look\",\"mentioned\":true}");
}

static void bad_entities(void **state)
{
	(void)state;
	is(HEAD DM ",\"text\":\"ab\",\"entities\":[{\"type\":\"text_link\",\"offset\":-1,\"length\":1,\"url\":\"u\"},"
	   "{\"type\":\"text_link\",\"offset\":1,\"length\":9,\"url\":\"u\"},"
	   "{\"type\":\"text_link\",\"offset\":0,\"length\":1,\"url\":\"v\"},"
	   "{\"type\":\"text_link\",\"offset\":1e300,\"length\":1,\"url\":\"u\"},7,null]}}",
	   OUT_DM ",\"text\":\"[a](v)b\"}");
}

static void replies(void **state)
{
	(void)state;
	is(HEAD GROUP ",\"text\":\"yes\",\"reply_to_message\":{\"message_id\":2,\"text\":\"well?\",\"from\":{\"id\":777}}}}",
	   OUT_GROUP ",\"text\":\"yes\",\"replyTo\":{\"id\":\"2\",\"text\":\"well?\",\"fromSelf\":true},\"mentioned\":true}");
	is(HEAD GROUP ",\"text\":\"yes\",\"quote\":{\"text\":\"ell\",\"position\":1},"
	   "\"reply_to_message\":{\"message_id\":2,\"caption\":\"well?\",\"from\":{\"id\":6}}}}",
	   OUT_GROUP ",\"text\":\"yes\",\"replyTo\":{\"id\":\"2\",\"text\":\"ell\",\"fromSelf\":false},\"mentioned\":false}");
	is(HEAD DM ",\"text\":\"x\",\"quote\":{\"text\":\"there\"},\"external_reply\":{\"message_id\":44,\"chat\":{\"id\":-7}}}}",
	   OUT_DM ",\"text\":\"x\",\"replyTo\":{\"id\":\"44\",\"text\":\"there\",\"fromSelf\":false}}");
}

static void topics(void **state)
{
	(void)state;
	/* everything in a topic replies to the message that made it; that is neither a reply nor a mention */
	is(HEAD GROUP ",\"text\":\"a\",\"is_topic_message\":true,\"message_thread_id\":12,"
	   "\"reply_to_message\":{\"message_id\":12,\"from\":{\"id\":777},\"forum_topic_created\":{\"name\":\"T\"}}}}",
	   OUT_GROUP ",\"text\":\"a\",\"thread\":\"12\",\"mentioned\":false}");
	/* a thread of replies in a plain group is no topic */
	is(HEAD GROUP ",\"text\":\"a\",\"message_thread_id\":12}}", OUT_GROUP ",\"text\":\"a\",\"mentioned\":false}");
}

static void links_become_visible(void **state)
{
	(void)state;
	is(HEAD DM ",\"text\":\"see 日 here, http://a.b\",\"entities\":["
	   "{\"type\":\"text_link\",\"offset\":6,\"length\":4,\"url\":\"https://x.y\"},"
	   "{\"type\":\"url\",\"offset\":12,\"length\":10}]}}",
	   OUT_DM ",\"text\":\"see 日 [here](https://x.y), http://a.b\"}");
}

static void files(void **state)
{
	static const struct {
		const char *json, *type, *mime, *name;
		int64_t bytes;
	} cases[] = {
		{"\"photo\":[{\"file_id\":\"s\",\"width\":90,\"height\":90},{\"file_id\":\"F\",\"width\":800,\"height\":600,"
		 "\"file_size\":70},{\"file_id\":\"m\",\"width\":320,\"height\":320}]",
		 "image", "image/jpeg", "image-3.jpg", 70},
		{"\"document\":{\"file_id\":\"F\",\"file_name\":\"../../etc/pass\\u0007wd.txt\",\"mime_type\":\"text/plain\","
		 "\"file_size\":5}",
		 "file", "text/plain", "pass_wd.txt", 5},
		{"\"document\":{\"file_id\":\"F\",\"file_name\":\"a.png\",\"mime_type\":\"image/png\"}", "image", "image/png",
		 "a.png", -1},
		{"\"voice\":{\"file_id\":\"F\",\"duration\":3,\"mime_type\":\"audio/ogg\",\"file_size\":9}", "audio", "audio/ogg",
		 "audio-3.ogg", 9},
		{"\"audio\":{\"file_id\":\"F\",\"file_name\":\"song.mp3\"}", "audio", "audio/mpeg", "song.mp3", -1},
		{"\"video\":{\"file_id\":\"F\",\"mime_type\":\"video/mp4\"}", "video", "video/mp4", "video-3.mp4", -1},
		{"\"video_note\":{\"file_id\":\"F\"}", "video", "video/mp4", "video-3.mp4", -1},
		{"\"animation\":{\"file_id\":\"F\",\"file_name\":\"g.mp4\"},\"document\":{\"file_id\":\"D\"}", "video", "video/mp4",
		 "g.mp4", -1},
		{"\"sticker\":{\"file_id\":\"F\",\"emoji\":\"😀\"}", "image", "image/webp", "image-3.webp", -1},
	};
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		char json[1024];
		int n = snprintf(json, sizeof json, HEAD DM ",%s}}", cases[i].json);
		assert_true(n > 0 && (size_t)n < sizeof json);
		tg_inbound in = read_update(json);
		assert_non_null(in.message);
		assert_int_equal(in.n_files, 1);
		assert_string_equal(in.files[0].file_id, "F");
		assert_string_equal(in.files[0].type, cases[i].type);
		assert_string_equal(in.files[0].mime, cases[i].mime);
		assert_string_equal(in.files[0].name, cases[i].name);
		assert_int_equal(in.files[0].bytes, cases[i].bytes);
		tg_inbound_free(&in);
	}
	/* animated stickers are no pictures */
	is(HEAD DM ",\"sticker\":{\"file_id\":\"F\",\"emoji\":\"😀\",\"set_name\":\"Cats\",\"is_animated\":true}}}",
	   OUT_DM ",\"text\":\"[sticker 😀 from Cats]\"}");
}

static void other_content(void **state)
{
	(void)state;
	is(HEAD DM ",\"location\":{\"latitude\":52.5,\"longitude\":13.4}}}",
	   OUT_DM ",\"text\":\"[location: 52.500000, 13.400000]\"}");
	is(HEAD DM ",\"location\":{\"latitude\":1,\"longitude\":2},\"venue\":{\"title\":\"Bar\",\"address\":\"Street 1\","
	   "\"location\":{\"latitude\":1,\"longitude\":2}}}}",
	   OUT_DM ",\"text\":\"[venue: Bar, Street 1, 1.000000, 2.000000]\"}");
	is(HEAD DM ",\"contact\":{\"first_name\":\"Bob\",\"phone_number\":\"+123\"}}}",
	   OUT_DM ",\"text\":\"[contact: Bob, +123]\"}");
	is(HEAD DM ",\"poll\":{\"question\":\"Q?\",\"options\":[{\"text\":\"a\"},{\"text\":\"b\"}]}}}",
	   OUT_DM ",\"text\":\"[poll: Q? / a / b]\"}");
	is(HEAD DM ",\"dice\":{\"emoji\":\"🎲\",\"value\":4}}}", OUT_DM ",\"text\":\"[dice 🎲: 4]\"}");
	is(HEAD DM ",\"text\":\"x\",\"forward_origin\":{\"type\":\"user\",\"sender_user\":{\"id\":8,\"first_name\":\"Eve\"}}}}",
	   OUT_DM ",\"text\":\"[Forwarded from Eve]\\nx\"}");
	is(HEAD DM ",\"text\":\"x\",\"forward_origin\":{\"type\":\"hidden_user\",\"sender_user_name\":\"Mallory\"}}}",
	   OUT_DM ",\"text\":\"[Forwarded from Mallory]\\nx\"}");
}

static void ignored(void **state)
{
	(void)state;
	is("{\"update_id\":9}", NULL);
	is("{\"update_id\":9,\"callback_query\":{\"id\":\"1\"}}", NULL);
	is("{\"update_id\":9,\"message\":7}", NULL);
	is(HEAD GROUP ",\"new_chat_members\":[{\"id\":777}]}}", NULL);
	is(HEAD "\"chat\":{\"id\":5,\"type\":\"other\"},\"text\":\"x\"}}", NULL);
	is(HEAD "\"chat\":{\"type\":\"private\"},\"text\":\"x\"}}", NULL);
	is("{\"update_id\":9,\"message\":{\"message_id\":3,\"date\":1,\"from\":{\"id\":777,\"is_bot\":true}," GROUP
	   ",\"text\":\"mine\"}}",
	   NULL);
	tg_inbound in;
	cJSON *update = cJSON_Parse("{\"message\":{}}");
	assert_int_equal(tg_inbound_read(update, &bot, "default", &in), OC_E_INVALID);
	cJSON_Delete(update);
	in = read_update(HEAD GROUP ",\"migrate_to_chat_id\":-100123}}");
	assert_int_equal(in.migrated_to, -100123);
	assert_null(in.message);
	tg_inbound_free(&in);
}

static void channels_and_anonymous(void **state)
{
	(void)state;
	is("{\"update_id\":9,\"channel_post\":{\"message_id\":3,\"date\":100,\"chat\":{\"id\":-55,\"type\":\"channel\","
	   "\"title\":\"News\",\"username\":\"news\"},\"sender_chat\":{\"id\":-55,\"title\":\"News\",\"username\":\"news\"},"
	   "\"text\":\"post\"}}",
	   "{\"channel\":\"telegram\",\"account\":\"default\",\"id\":\"3\",\"timestampMs\":100000,"
	   "\"chat\":{\"type\":\"channel\",\"id\":\"-55\",\"title\":\"News\"},"
	   "\"sender\":{\"id\":\"-55\",\"name\":\"News\",\"username\":\"news\",\"isBot\":false},\"text\":\"post\","
	   "\"mentioned\":false}");
	/* an anonymous administrator writes as the group */
	is("{\"update_id\":9,\"message\":{\"message_id\":3,\"date\":100,\"from\":{\"id\":1087968824,\"is_bot\":true,"
	   "\"first_name\":\"Group\"},\"sender_chat\":{\"id\":-1009,\"title\":\"Team\"}," GROUP ",\"text\":\"x\"}}",
	   "{\"channel\":\"telegram\",\"account\":\"default\",\"id\":\"3\",\"timestampMs\":100000,"
	   "\"chat\":{\"type\":\"group\",\"id\":\"-1009\",\"title\":\"Team\"},"
	   "\"sender\":{\"id\":\"-1009\",\"name\":\"Team\",\"isBot\":false},\"text\":\"x\",\"mentioned\":false}");
}

static void big_ids(void **state)
{
	(void)state;
	tg_inbound in = read_update("{\"update_id\":9,\"message\":{\"message_id\":3,\"date\":100,\"from\":{\"id\":7999999999999},"
				    "\"chat\":{\"id\":-1009999999999999,\"type\":\"group\"},\"text\":\"x\"}}");
	assert_string_equal(in.chat, "-1009999999999999");
	assert_string_equal(tg_json_str(tg_json_obj(in.message, "sender"), "id", ""), "7999999999999");
	tg_inbound_free(&in);
}

static void albums(void **state)
{
	(void)state;
	tg_inbound a = read_update(HEAD GROUP ",\"media_group_id\":\"G\",\"photo\":[{\"file_id\":\"A\",\"width\":1,"
						  "\"height\":1}]}}");
	tg_inbound b = read_update(HEAD GROUP ",\"media_group_id\":\"G\",\"caption\":\"two @claw_bot\",\"caption_entities\":["
						  "{\"type\":\"mention\",\"offset\":4,\"length\":9}],"
						  "\"photo\":[{\"file_id\":\"B\",\"width\":1,\"height\":1}]}}");
	tg_inbound c = read_update(HEAD DM ",\"media_group_id\":\"G\",\"photo\":[{\"file_id\":\"C\",\"width\":1,\"height\":1}]}}");
	tg_inbound d = read_update(HEAD GROUP ",\"text\":\"x\"}}");
	assert_true(tg_inbound_same_album(&a, &b));
	assert_false(tg_inbound_same_album(&a, &c));
	assert_false(tg_inbound_same_album(&a, &d));
	assert_false(tg_inbound_same_album(&d, &d));
	assert_true(tg_inbound_merge(&a, &b));
	assert_int_equal(a.n_files, 2);
	assert_int_equal(b.n_files, 0);
	assert_string_equal(a.files[1].file_id, "B");
	assert_string_equal(tg_json_str(a.message, "text", ""), "two @claw_bot");
	assert_true(tg_json_bool(a.message, "mentioned", false));
	assert_true(tg_inbound_note(&a, "[note]"));
	assert_string_equal(tg_json_str(a.message, "text", ""), "two @claw_bot\n[note]");
	tg_inbound_free(&a);
	tg_inbound_free(&b);
	tg_inbound_free(&c);
	tg_inbound_free(&d);
}

static void numbers_and_names(void **state)
{
	int64_t n = 0;
	char name[TG_NAME_MAX];
	(void)state;
	assert_true(tg_message_number("45", &n) && n == 45);
	assert_true(tg_message_number("45:1700000000", &n) && n == 45);
	assert_false(tg_message_number("", &n));
	assert_false(tg_message_number("-4", &n));
	assert_false(tg_message_number("4x", &n));
	assert_false(tg_message_number("99999999999999999999", &n));
	tg_safe_name("/a/b/../c.txt", "f", name);
	assert_string_equal(name, "c.txt");
	tg_safe_name("..", "f", name);
	assert_string_equal(name, "f");
	tg_safe_name(".htaccess", "f", name);
	assert_string_equal(name, "htaccess");
	tg_safe_name(NULL, "f", name);
	assert_string_equal(name, "f");
	tg_safe_name("a\xe2\x80\xaegpj.exe", "f", name); /* right-to-left override */
	assert_string_equal(name, "a_gpj.exe");
	char longest[600];
	memset(longest, 'x', sizeof longest);
	memcpy(longest + sizeof longest - 5, ".pdf", 5);
	tg_safe_name(longest, "f", name);
	assert_true(strlen(name) < TG_NAME_MAX);
	assert_true(name[0] == 'x');
	assert_string_equal(name + strlen(name) - 4, ".pdf");
	memset(longest + 470, '.', 20); /* what is kept would begin with dots */
	tg_safe_name(longest, "f", name);
	assert_true(name[0] == 'x');
}

/* A question about somebody's picture brings it along; not about the bot's own, nor when it has a file itself. */
static void files_of_replies(void **state)
{
	static const char photo[] = "\"photo\":[{\"file_id\":\"P\",\"width\":1,\"height\":1}]";
	static const struct {
		const char *reply, *own;
		size_t files;
		const char *file_id;
	} cases[] = {{"\"from\":{\"id\":6}", "", 1, "P"},
		     {"\"from\":{\"id\":777}", "", 0, NULL},
		     {"\"from\":{\"id\":6}", ",\"document\":{\"file_id\":\"D\"}", 1, "D"}};
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		char json[1024];
		int n = snprintf(json, sizeof json, HEAD DM ",\"text\":\"what is this?\",\"reply_to_message\":{\"message_id\":2,%s,%s}%s}}",
				 cases[i].reply, photo, cases[i].own);
		assert_true(n > 0 && (size_t)n < sizeof json);
		tg_inbound in = read_update(json);
		assert_int_equal(in.n_files, cases[i].files);
		if (in.n_files > 0)
			assert_string_equal(in.files[0].file_id, cases[i].file_id);
		tg_inbound_free(&in);
	}
}

/* A name is cut between characters. */
static void long_names(void **state)
{
	char json[2048], title[600];
	(void)state;
	title[0] = 'a';
	for (size_t i = 0; i < 150; i++)
		memcpy(title + 1 + i * 2, "é", 2);
	title[301] = 0;
	int n = snprintf(json, sizeof json, "{\"update_id\":9,\"message\":{\"message_id\":3,\"date\":100," DM
			 ",\"from\":{\"id\":5,\"first_name\":\"%s\"},\"text\":\"x\"}}", title);
	assert_true(n > 0 && (size_t)n < sizeof json);
	tg_inbound in = read_update(json);
	const char *name = tg_json_str(tg_json_obj(in.message, "sender"), "name", "");
	assert_int_equal(strlen(name), 255);
	title[255] = 0;
	assert_string_equal(name, title);
	tg_inbound_free(&in);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(direct_text),   cmocka_unit_test(edited),        cmocka_unit_test(mentions),
		cmocka_unit_test(bad_entities),  cmocka_unit_test(replies),       cmocka_unit_test(topics),
		cmocka_unit_test(links_become_visible), cmocka_unit_test(files),  cmocka_unit_test(other_content),
		cmocka_unit_test(ignored),       cmocka_unit_test(channels_and_anonymous), cmocka_unit_test(big_ids),
		cmocka_unit_test(albums),        cmocka_unit_test(numbers_and_names), cmocka_unit_test(long_names), cmocka_unit_test(files_of_replies),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
